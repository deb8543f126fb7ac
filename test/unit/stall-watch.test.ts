// A machine that stands still is told from one that is idle, waits for a lock, or is slow to start.

import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { QmpClient } from '../../src/vmm/qmp.ts'
import { untilStalled } from '../../src/vmm/stall-watch.ts'

const HALTED = 'EIP=c01000 EFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1'
const HALTED_64 = 'RIP=ffffffff81000 RFL=00000006 [-----P-] CPL=0 II=0 A20=1 SMM=0 HLT=1'
const IDLE = 'RIP=ffffffff81000 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1'
const BUSY = 'RIP=ffffffff81000 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0'

/** QEMU whose CPUs are as the rounds say; each round is looked at once, the last one for ever. The fifth look is told. */
async function qemu(
  rounds: readonly (readonly string[])[],
  onFifthLook: () => void,
): Promise<QmpClient> {
  let [seen, looks] = [-1, 0]
  const answer = (line: string): string => {
    const { execute, arguments: args } = JSON.parse(line) as {
      execute: string
      arguments?: { 'cpu-index': number }
    }
    if (execute !== 'human-monitor-command') return '{"return": {"status": "internal-error"}}\n'
    const cpu = args?.['cpu-index'] ?? 0
    if (cpu === 0) seen = Math.min(seen + 1, rounds.length - 1)
    if (cpu === 0 && ++looks === 5) onFifthLook()
    return `${JSON.stringify({ return: rounds[seen]?.[cpu] ?? '' })}\n`
  }
  const stream = new Duplex({
    read: () => undefined,
    write(line: Buffer, _encoding, done) {
      stream.push(answer(line.toString()))
      done()
    },
  })
  stream.push('{"QMP": {}}\n')
  return QmpClient.open(stream, 60_000)
}

/** What becomes of a watch within four looks. */
function watch(rounds: readonly (readonly string[])[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    qemu(rounds, () => resolve('runs'))
      .then((client) => untilStalled(client, rounds[0]?.length ?? 0))
      .then(resolve, reject)
  })
}

test.concurrent.each([
  ['one CPU halted', [[HALTED]], 'halted'],
  ['two CPUs halted', [[HALTED_64, HALTED_64]], 'halted'],
  ['an idle CPU', [[IDLE]], 'runs'],
  ['a busy CPU', [[BUSY]], 'runs'],
  ['one of two CPUs halted', [[HALTED_64, IDLE]], 'runs'],
  [
    'CPUs that wait for locks, in turn',
    [
      [HALTED_64, HALTED],
      [HALTED, HALTED_64],
      [IDLE, IDLE],
    ],
    'runs',
  ],
  ['an answer of another form', [['']], 'runs'],
] as const)('%s', async (_, rounds, outcome) => {
  expect(await watch(rounds)).toBe(outcome)
})

test('a QEMU that stops its machine is asked why', async () => {
  const stream = new Duplex({
    read: () => undefined,
    write(_line, _encoding, done) {
      stream.push('{"return": {"status": "internal-error"}}\n')
      done()
    },
  })
  stream.push('{"QMP": {}}\n')
  const client = await QmpClient.open(stream, 60_000)
  stream.push('{"event": "STOP"}\n')
  expect(await untilStalled(client, 1)).toBe('internal-error')
})
