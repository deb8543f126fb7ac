// A helper process must not outlive its keeper, at whatever moment the keeper is killed.

import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { confine, findProgram, identifyProcess } from '../../src/subprocess/index.ts'

/** Starts `argv` from a parent that is killed at once, and gives the pid of the orphan. */
async function orphan(argv: readonly string[]): Promise<number> {
  const script = `
    const { spawn } = require('node:child_process')
    const [program, ...args] = JSON.parse(process.argv[1]).map((word) =>
      word === 'OUR-PID' ? String(process.pid) : word)
    const child = spawn(program, args, { stdio: 'ignore', detached: true })
    require('node:fs').writeSync(1, String(child.pid))
    process.kill(process.pid, 'SIGKILL')`
  const parent = spawn(process.execPath, ['-e', script, JSON.stringify(argv)])
  let pid = ''
  parent.stdout.on('data', (bytes: Buffer) => (pid += bytes.toString()))
  await new Promise((resolve) => parent.once('close', resolve))
  return Number(pid)
}

test('a process whose parent died before it could ask to die with it ends by itself', async () => {
  const late = ['sh', '-c', 'sleep 0.2; exec "$@"', 'late']
  const argv = confine(['sleep', '60'], {}, -1).map((word) => (word === '-1' ? 'OUR-PID' : word))
  const pid = await orphan([...late, ...argv])
  expect(pid).toBeGreaterThan(1)
  try {
    await expect.poll(() => identifyProcess(pid)).toBeUndefined()
  } finally {
    if (identifyProcess(pid) !== undefined) process.kill(pid, 'SIGKILL')
  }
})

test.each(['no-such-program', '/no/such/program', '/etc/passwd', '/etc'])(
  'the program %s cannot be run, and that is said before anything starts',
  (name) => {
    expect(() => findProgram(name)).toThrow(
      expect.objectContaining({ code: 'ERR_PROCESS_SPAWN' }) as Error,
    )
  },
)
