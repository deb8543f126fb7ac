// A part of an enclave's network that hangs for a while, or is killed, while bytes are on their way: what was on its
// way goes on or ends with an error, and the enclave beside it notices nothing. CLOISTER_FAULT_STOP_MS is how long a
// part hangs; 30 s in `npm run soak`.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inflict, STOP_MS } from '../fixtures/faults/inflict.ts'
import { LoadHost, type LoadedEnclave } from '../fixtures/network/loaded-enclave.ts'
import { until } from '../fixtures/until.ts'

const BYTES = 60_000_000
/** So many that none are through before their flow is broken. */
const ENDLESS = 100 * 2 ** 30

let host: LoadHost
let enclave: LoadedEnclave
let bystander: LoadedEnclave
let mirrors = 0

beforeAll(async () => {
  host = await LoadHost.start()
  ;[enclave, bystander] = await Promise.all([host.run(), host.run()])
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

interface Mirror {
  /** What net-load printed. */
  readonly end: Promise<string>
}

/** Bytes that go and come back; returns once their flow is open, and the guest has done what `then` says. */
async function beginMirror(bytes: number, then = ':'): Promise<Mirror> {
  const name = `/tmp/mirror-${String(++mirrors)}`
  const { command, isConnected } = enclave.commandFor('mirror', bytes)
  const end = enclave.guest(`
    ${command} > ${name} 2>&1 &
    until ${isConnected}; do sleep 0.02; done
    ${then}
    : > ${name}-begun
    wait
    cat ${name}`)
  await enclave.guest(`until [ -e ${name}-begun ]; do sleep 0.02; done`)
  return { end }
}

async function expectUntouched(): Promise<void> {
  expect(await bystander.load('echo', 20)).toHaveProperty('perSecond')
  expect(await bystander.load('connect', 5)).toHaveProperty('perSecond')
}

/** A signal to netd, in the guest. */
const toNetd = (name: string): string => `
  for it in /proc/[0-9]*; do
    read -r comm < $it/comm && [ "$comm" = cloister-netd ] && kill -${name} \${it#/proc/}
  done 2>/dev/null`

/** A connection that is opened while a part hangs: it waits, and is served afterwards. */
class Newcomer {
  readonly served = enclave.attempt('connect', 1).finally(() => {
    this.hasEnded = true
  })
  hasEnded = false
}

test('a network card that hangs holds up its own flows, which then go on, and new ones', async () => {
  const mirror = await beginMirror(BYTES)
  let newcomer: Newcomer | undefined
  await inflict('SIGSTOP', { pid: enclave.card, directory: '' }, async () => {
    newcomer = new Newcomer()
    await expectUntouched()
    // What is asked of the keeper meanwhile is answered.
    const { EnclaveID } = enclave.enclave
    expect(await host.host.describe(EnclaveID)).toMatchObject({ State: 'RUNNING' })
    expect(newcomer.hasEnded).toBe(false)
  })
  expect(await newcomer?.served).toContain('perSecond')
  expect(await mirror.end).toContain(`"mirrored":${String(BYTES)}`)
})

test('netd that hangs holds up its own flows, which then go on, and new ones', async () => {
  const mirror = await beginMirror(BYTES, toNetd('STOP'))
  const newcomer = new Newcomer()
  await expectUntouched()
  await sleep(STOP_MS)
  expect(newcomer.hasEnded).toBe(false)
  await enclave.guest(toNetd('CONT'))
  expect(await newcomer.served).toContain('perSecond')
  expect(await mirror.end).toContain(`"mirrored":${String(BYTES)}`)
})

test.each([
  ['netd that is killed', toNetd('KILL'), () => undefined],
  ['a network card that is killed', ':', () => process.kill(enclave.card, 'SIGKILL')],
])('%s ends its flows with an error, and its successor takes new ones', async (_, then, kill) => {
  const mirror = await beginMirror(ENDLESS, then)
  kill()
  expect(await mirror.end).toMatch(/ConnectionReset|BrokenPipe/)
  await expectUntouched()
  await until('new connections work', async () =>
    (await enclave.attempt('connect', 1)).includes('perSecond'),
  )
})
