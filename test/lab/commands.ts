// Programs of this machine that make the lab's images.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * Runs a bash script with `args` as $1, $2, … and returns what it printed.
 * @throws Error with the end of its standard error when it fails.
 */
export async function bash(script: string, ...args: readonly string[]): Promise<string> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script, 'bash', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  await once(child, 'close')
  const [stdout, stderr] = await output
  if (child.exitCode !== 0)
    throw new Error(`an image of the lab was not made: ${stderr.slice(-2000)}`)
  return stdout
}
