// What the image tests share: the built CLI in a process of its own, a blobs directory, and real
// tools to make and take apart images.

import { execFile, type ExecFileOptions } from 'node:child_process'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { readEif } from '../../src/eif/index.ts'
import { sourceOfFile } from '../../src/files/index.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly status: number
}

/** Compiles the sources, so that the processes run what the tests stand beside. */
export async function compileCli(): Promise<void> {
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [tsc, '-b', join(repository, 'src')])
}

/** Runs `cloister` with arguments; `wrapper` is an argv to run it under. */
export async function runCli(
  command: string,
  args: readonly string[],
  options: ExecFileOptions & { readonly wrapper?: readonly string[] } = {},
): Promise<Outcome> {
  const { wrapper = [], ...rest } = options
  const main = join(repository, 'dist/cli/main.js')
  const [program = '', ...argv] = [...wrapper, process.execPath, main, command, ...args]
  const outcome = run(program, argv, { encoding: 'utf8', ...rest })
  return outcome.then(
    ({ stdout, stderr }) => ({ stdout: String(stdout), stderr: String(stderr), status: 0 }),
    (error: unknown) => {
      const { stdout, stderr, code } = error as { stdout: string; stderr: string; code: number }
      return { stdout, stderr, status: code }
    },
  )
}

/** The code of the error that a command printed; undefined when it printed none. */
export function printedCode({ stderr }: Outcome): string | undefined {
  return /^(?:\[ E\d+ \] )?(ERR_\w+): /m.exec(stderr)?.[1]
}

/** Blobs that build but do not boot: a kernel that is one by its signatures only. */
export async function makeBlobs(path: string): Promise<string> {
  await mkdir(path, { recursive: true })
  const kernel = Buffer.alloc(4096, 0x90)
  kernel.set([0x55, 0xaa], 0x1fe)
  kernel.write('HdrS', 0x202)
  await writeFile(join(path, 'bzImage'), kernel)
  await writeFile(join(path, 'init'), 'the agent')
  await writeFile(join(path, 'cmdline'), 'reboot=t panic=-1\n')
  const config = '#\n# Automatically generated\n# Linux/x86 6.12.107 Kernel Configuration\n#\n'
  await writeFile(join(path, 'kernel.config'), config)
  return path
}

/** Runs a tool that must be installed; fails with its own words. */
export async function tool(name: string, ...args: string[]): Promise<string> {
  return (await run(name, args)).stdout
}

/** Unpacks a ramdisk of an image with cpio. */
export async function unpackRamdisk(eif: string, index: number, into: string): Promise<void> {
  await using file = await open(eif)
  const source = sourceOfFile(file, (await file.stat()).size)
  const { sections } = await readEif(source)
  const section = sections.filter(({ type }) => type === 'ramdisk')[index]
  if (section === undefined) throw new RangeError(`no ramdisk ${String(index)}`)
  await mkdir(into, { recursive: true })
  await writeFile(`${into}.cpio`, await source.read(section.offset, section.size))
  const extract = 'cpio --extract --make-directories --no-absolute-filenames --quiet < "$0"'
  await run('sh', ['-c', extract, `${into}.cpio`], { cwd: into })
}
