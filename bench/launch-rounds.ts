// Launch to heartbeat, as often as asked: `startEnclave` (measuring, virtual TPM, certificate and all)
// and the same QEMU command and vsock card run bare, in turns.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
// The built keeper: it is a process of its own, and Node runs no TypeScript.
import {
  describeLaunch,
  endEnclave,
  Registry,
  startEnclave,
  type LaunchRequest,
} from '../dist/enclaves/index.js'
import { startBare } from './bare-machine.ts'

const MEMORY_MIB = 128
/** The one step that the guest takes. */
export const BOOT = 'boot to the heartbeat'

/** Of each round. */
export interface LaunchTimes {
  readonly ours: readonly Launched[]
  /** Milliseconds to the heartbeat. */
  readonly bare: readonly number[]
}

/** One launch of ours, in milliseconds from the request. */
export interface Launched {
  readonly heartbeatMs: number
  readonly appMs: number
  /** What each step took, the start of the keeper included. */
  readonly steps: Readonly<Record<string, number>>
}

/** Launches the image `rounds` times each way, with this host's accelerator. */
export async function measureLaunch(eifPath: string, rounds: number): Promise<LaunchTimes> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    const ours: Launched[] = []
    const bare: number[] = []
    for (let round = 0; round < rounds; round++) {
      ours.push(await launchOurs(requestFor(eifPath, scratch)))
      await using machine = await startBare(eifPath, join(scratch, `bare${String(round)}`))
      bare.push(machine.heartbeatMs)
    }
    return { ours, bare }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

export function requestFor(
  eifPath: string,
  scratch: string,
  memoryMib = MEMORY_MIB,
): LaunchRequest {
  const directories = { state: join(scratch, 'state'), runtime: join(scratch, 'run') }
  for (const directory of Object.values(directories))
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  return {
    directories,
    programs: {
      qemu: 'qemu-system-x86_64',
      vsockCard: resolve('build/bin/cloister-vsock'),
      nsmCard: resolve('build/bin/cloister-nsm'),
      networkCard: resolve('build/bin/cloister-network'),
    },
    description: describeLaunch({ eifPath, memoryMib }),
  }
}

/** From the request to the app's start; the enclave is gone afterwards. */
export async function launchOurs(request: LaunchRequest): Promise<Launched> {
  const begin = performance.now()
  const { record, timeline } = await startEnclave(request)
  const appMs = performance.now() - begin
  await endEnclave(new Registry(request.directories.runtime), record, 0)
  const ends = timeline.map(({ atMs, tookMs }) => atMs + tookMs)
  const boot = timeline.findIndex(({ step }) => step === BOOT)
  // What the keeper's clock does not know: its own start, and the way of its last word.
  const keeperMs = appMs - Math.max(...ends)
  const steps = Object.fromEntries(timeline.map(({ step, tookMs }) => [step, tookMs]))
  const heartbeatMs = keeperMs + (ends[boot] ?? NaN)
  return { heartbeatMs, appMs, steps: { 'start the keeper': keeperMs, ...steps } }
}
