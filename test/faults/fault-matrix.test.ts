// Any fault, of any part, at any time of an enclave's life: soon after its end the enclave goes on as before,
// or has ended, its record says why, and nothing of it is left. The enclave beside it notices nothing.
// test/fixtures/faults/table.ts has the cells.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { AWS_CMDLINE } from '../fixtures/aws-image.ts'
import {
  expectNothingLeft,
  expectRecorded,
  lookBefore,
  running,
  untilGone,
  untilKnown,
  untilSettled,
} from '../fixtures/faults/aftermath.ts'
import { inflict } from '../fixtures/faults/inflict.ts'
import { Staged } from '../fixtures/faults/stage.ts'
import {
  cellOf,
  faults,
  isLaunching,
  parts,
  phases,
  type Fault,
  type HostPart,
  type Outcome,
  type Part,
  type Phase,
} from '../fixtures/faults/table.ts'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { until } from '../fixtures/until.ts'
import { recentQemu, TestHost, type DescribedEnclave } from '../host.ts'

const WORK_MS = 200
/** What the app does to itself. */
const WORDS: Readonly<Record<Fault, string>> = {
  'kill -9': 'die',
  SIGSTOP: 'hang',
  'disk full': 'disk',
  descriptors: 'descriptors',
  memory: 'memory',
}

let host: TestHost
let eif: string
let bystander: DescribedEnclave
/** From the end of a fault until the state is known, ms, by cell. */
const settled = new Map<string, number>()

beforeAll(async () => {
  host = new TestHost({ CLOISTER_QEMU: recentQemu() })
  bystander = await host.start(await host.build('bystander'))
  const rootfs = await guestRootfs(host.directory, 'probe')
  const manifest = host.path('cloister.yaml')
  // With egress it has a network card.
  writeFileSync(
    manifest,
    `{ cloister: 1, name: victim, version: '1', run: { entrypoint: [/probe, victim] },
       egress: { allow: [{ host: a.example }] } }\n`,
  )
  // AWS's command line has it use the NSM card, our agent lets it be stopped slowly.
  const app = ['--rootfs', rootfs, '--manifest', manifest, '--cmdline', AWS_CMDLINE]
  eif = await host.build('victim', ...app)
})

afterAll(async () => {
  if (process.env['CLOISTER_FAULT_STOP_MS'] !== undefined)
    console.table(Object.fromEntries(settled))
  await host[Symbol.asyncDispose]()
})

interface Meeting {
  readonly part: Part
  readonly fault: Fault
  readonly outcome: Outcome
}

/** One column of the matrix: the fault meets each part in turn, in a new enclave where the last one ended. */
async function walk(on: TestHost, fault: Fault, phase: Phase): Promise<void> {
  let staged: Staged | undefined
  for (const part of parts) {
    const cell = cellOf(part, fault, phase)
    if ('reason' in cell) continue
    const begin = (): Promise<Staged> => Staged.begin(on, eif, phase, `${part} ${fault} ${phase}`)
    const meeting = { part, fault, outcome: cell.outcome }
    if (isLaunching(phase) && part !== 'app')
      staged = await meetLaunch(await stillLaunching(staged, part, begin), meeting)
    else staged = await meetRunning(staged ?? (await begin()), meeting)
    await expectUntouched()
  }
  if (staged !== undefined) await conclude(staged)
}

interface Launching {
  readonly staged: Staged
  /** Of the part. */
  readonly pid: number
}

/** The enclave, or another one when its start is over, with the part running. */
async function stillLaunching(
  staged: Staged | undefined,
  part: HostPart,
  begin: () => Promise<Staged>,
): Promise<Launching> {
  if (staged !== undefined) {
    const pid = staged.isStarted ? undefined : await staged.pidOf(part)
    if (pid !== undefined) {
      lookBefore(staged)
      return { staged, pid }
    }
    await conclude(staged)
  }
  const begun = await begin()
  return { staged: begun, pid: await pidOf(begun, part) }
}

/** @returns The enclave, while it may still come up. */
async function meetLaunch(
  { staged, pid }: Launching,
  { fault, outcome }: Meeting,
): Promise<Staged | undefined> {
  await inflict(fault, { pid, directory: staged.host.runtime }, async () => {
    await (fault === 'disk full' ? staged.start : sleep(WORK_MS))
  })
  if (outcome !== 'ends') return staged
  const { status } = await staged.start
  expect(status, staged.name).not.toBe(0)
  return conclude(staged)
}

/** With a last look at the enclave before the fault. */
async function pidOf(staged: Staged, part: HostPart): Promise<number> {
  const pid = await staged.pidOf(part)
  if (pid === undefined) throw new Error(`${staged.name} has no ${part}`)
  lookBefore(staged)
  return pid
}

async function meetRunning(staged: Staged, meeting: Meeting): Promise<Staged | undefined> {
  const { part, fault, outcome } = meeting
  const before = lookBefore(staged)
  if (part === 'app') await meetApp(staged, fault)
  else {
    const pid = await meetHostPart(staged, part, fault)
    if (outcome === 'replaced') return expectReplaced(staged, part, pid)
  }
  if (outcome === 'hangs') {
    expect(running(before.pids)).toEqual(before.pids)
    return conclude(staged)
  }
  const begin = performance.now()
  const state = await untilKnown(staged, before)
  settled.set(`${part}, ${fault}, ${staged.phase}`, Math.round(performance.now() - begin))
  if (outcome !== 'either') expect(state, part).toBe(outcome === 'ends' ? 'ended' : 'lives')
  if (state === 'lives') return staged
  await expectRecorded(staged, part, fault === 'disk full' ? /no space is left/ : undefined)
  if (staged.stop !== undefined) expect(await staged.stop).toMatchObject({ status: 0 })
  await expectNothingLeft(staged, before)
  return undefined
}

/** Every other part is the same one, and the app gets documents. */
async function expectReplaced(staged: Staged, part: HostPart, pid: number): Promise<Staged> {
  const others = staged.seen.pids.filter((it) => it !== pid)
  await until(`${staged.name} has another ${part}`, async () => (await staged.pidOf(part)) !== pid)
  await until(`${staged.name} attests`, () => staged.attests())
  expect(running(others)).toEqual(others)
  return staged
}

/** @returns The part's process as it was. */
async function meetHostPart(staged: Staged, part: HostPart, fault: Fault): Promise<number> {
  // A register that is extended is state, which has to be written.
  const writes = part === 'swtpm' && fault === 'disk full'
  const pid = await pidOf(staged, part)
  await inflict(fault, { pid, directory: staged.host.runtime }, async () => {
    const asked = staged.ask(writes ? 'extend' : 'attest')
    if (writes) await asked
    await sleep(WORK_MS)
  })
  return pid
}

async function meetApp(staged: Staged, fault: Fault): Promise<void> {
  const asked = staged.ask(WORDS[fault])
  if (fault === 'SIGSTOP') return sleep(WORK_MS)
  const answer = await asked
  if (fault === 'disk full' || fault === 'descriptors') expect(answer).toMatch(/os error/)
  else expect(answer).toBeUndefined()
}

/** Ends what has come up; what has not was refused with a reason. */
async function conclude(staged: Staged): Promise<undefined> {
  const { status, stdout, stderr } = await staged.start
  if (status === 0) {
    const latest = lookBefore(staged)
    if (isLaunching(staged.phase)) expect(await untilKnown(staged, latest)).toBe('lives')
    await staged.host.json(
      ...['terminate-enclave', '--enclave-name', staged.name, '--timeout', '0'],
    )
    await expectRecorded(staged, 'request')
    if (staged.stop !== undefined) expect(await staged.stop).toMatchObject({ status: 0 })
    await expectNothingLeft(staged, latest)
    return
  }
  expect([status, stdout]).toEqual([39, ''])
  expect(stderr).toMatch(/ERR_[\s\S]*What to do: \S/)
  // A start that fails is forgotten by its keeper, which may outlive the command, unless nobody was left to do so.
  await untilGone(staged, staged.seen)
  await untilSettled(staged)
  if (staged.record !== undefined) await expectRecorded(staged, 'keeper')
  await expectNothingLeft(staged, staged.seen)
}

async function expectUntouched(): Promise<void> {
  const { ProcessID, Processes } = bystander
  const pids = [ProcessID, ...Object.values(Processes)]
  expect(running(pids)).toEqual(pids)
  const document = await requestDocument(bystander.VsockSocket, Uint8Array.of(1))
  expect(document.length).toBeGreaterThan(0)
}

describe.each(phases)('%s:', (phase) => {
  for (const fault of faults.filter((it) => it !== 'disk full')) {
    test.concurrent(`${fault} of each part`, () => walk(host, fault, phase))
  }

  test.concurrent('a disk that is full', async () => {
    await using small = new TestHost({ CLOISTER_QEMU: recentQemu() })
    mkdirSync(small.runtime, { mode: 0o700 })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=96m,mode=0700', 'none', small.runtime])
    try {
      await walk(small, 'disk full', phase)
    } finally {
      await small.run('terminate-enclave', '--all', '--timeout', '0')
      execFileSync('umount', ['--lazy', small.runtime])
    }
  })
})
