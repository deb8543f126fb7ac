// Results go to standard output as nitro-cli's JSON, progress to standard error.

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

export function printProgress(line: string): void {
  process.stderr.write(`${line}\n`)
}
