// Runs commands in the lab's host for `channel.ts`, one JSON object per line in both directions over a
// virtio-serial port, which only one descriptor at a time may be open on.
// In: { id, argv, env, cwd, user, timeoutMs }. Out: { ready }, and for each id any number of
// { id, stream: 'stdout' | 'stderr', data: base64 }, then { id, status, signal, timedOut }.

import { spawn } from 'node:child_process'
import { createReadStream, openSync, write } from 'node:fs'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const fd = openSync(process.argv[2], 'r+')
let sent = Promise.resolve()

/** Sends one message after those before it. */
function send(message) {
  sent = sent.then(() => writeAll(Buffer.from(`${JSON.stringify(message)}\n`)))
  return sent
}

async function writeAll(bytes) {
  for (let offset = 0; offset < bytes.length;)
    offset += (await promisify(write)(fd, bytes, offset)).bytesWritten
}

/** The user's own groups, group kvm among them, and nothing of root's. */
function asUser(user, argv) {
  if (user === 'root') return argv
  return [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${user}`,
    '--init-groups',
    '--inh-caps=-all',
    ...argv,
  ]
}

async function forward(id, stream, source) {
  for await (const bytes of source) await send({ id, stream, data: bytes.toString('base64') })
}

async function run({ id, argv, env, cwd, user, timeoutMs }) {
  const [command, ...args] = asUser(user, argv)
  const stdio = ['ignore', 'pipe', 'pipe']
  const child = spawn(command, args, { cwd, env, stdio, detached: true })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    // The group, because a shell's children would keep the pipes open.
    process.kill(-child.pid, 'SIGKILL')
  }, timeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal }))
  })
  const output = [forward(id, 'stdout', child.stdout), forward(id, 'stderr', child.stderr)]
  try {
    const [{ status, signal }] = await Promise.all([ended, ...output])
    await send({ id, status, signal, timedOut })
  } catch (error) {
    await send({ id, stream: 'stderr', data: Buffer.from(`${error.message}\n`).toString('base64') })
    await send({ id, status: 127, signal: null, timedOut })
  } finally {
    clearTimeout(timer)
  }
}

const requests = createInterface({ input: createReadStream('', { fd, autoClose: false }) })
requests.on('line', (line) => void run(JSON.parse(line)))
requests.on('close', () => process.exit())
await send({ ready: true })
