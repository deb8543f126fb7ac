// Why an enclave ended: which part went first, and what the agent inside had said by then.

import { setTimeout as sleep } from 'node:timers/promises'
import type { OutOfMemory } from '../cgroup/index.ts'
import type { EndCause } from '../enclaves/index.ts'
import type { PartName, ProcessEnd } from '../subprocess/index.ts'
import type { ShutdownReason, Stall } from '../vmm/index.ts'
import type { AgentEvent } from './guest/agent-channel.ts'
import { signalName } from './signal-name.ts'

export interface NamedProcess {
  readonly name: PartName
  readonly pid: number
}

/** A process that an enclave is made of. */
export interface Part extends NamedProcess {
  /** Settles when it has ended; never rejects. */
  readonly ended: Promise<ProcessEnd>
  /** The end of what it wrote to standard error. */
  readonly lastWords: () => string
}

/** What was heard of a part's end, beside its status. */
export interface LastWord {
  /** What the agent inside said last. */
  readonly agent: AgentEvent | undefined
  /** What QEMU said when it ended. */
  readonly qemu: ShutdownReason | undefined
  /** What its control group says of a part; absent where it has none. */
  readonly memory?: MemoryWord | undefined
}

export interface MemoryWord {
  readonly why: OutOfMemory | undefined
  readonly limitBytes: number
}

/** A part's end, as it was noticed. */
export interface PartEnd {
  readonly part: Part
  readonly end: ProcessEnd
  readonly agent: AgentEvent | undefined
}

/** QEMU closes its side of the cards' channels a moment before it has ended. */
const QEMU_FOLLOWS_MS = 1000

/** A card ends with status 0 when QEMU has gone, and may be the first to be noticed. */
export async function causingEnd(noticed: PartEnd, qemu: Part): Promise<PartEnd> {
  const isCard = noticed.part.name === 'vsock card' || noticed.part.name === 'NSM card'
  if (!isCard || noticed.end.code !== 0) return noticed
  const end = await Promise.race([qemu.ended, sleep(QEMU_FOLLOWS_MS, undefined, { ref: false })])
  return end === undefined ? noticed : { part: qemu, end, agent: noticed.agent }
}

/**
 * The cause when `part` ended first. A QEMU that ends with status 0 says who ended it: a process of
 * the host, or its guest, and then what the guest's agent said last tells why.
 */
export function causeOfEnd(part: Part, end: ProcessEnd, last: LastWord): EndCause {
  if (part.name === 'QEMU' && end.code === 0) {
    return causeOnHost(last.qemu) ?? causeInGuest(last.agent, guestDeed(last.qemu))
  }
  if (end.signal === 'SIGKILL' && last.memory?.why !== undefined)
    return causeOfMemory(part, last.memory.why, last.memory.limitBytes)
  if (end.signal !== null) {
    return {
      first: part.name,
      reason: withLastWords(`${part.name} was killed by ${end.signal}`, part),
      signal: end.signal,
    }
  }
  const code = end.code ?? 0
  return {
    first: part.name,
    reason: withLastWords(`${part.name} ended with status ${String(code)}`, part),
    exitCode: code,
  }
}

function causeOfMemory(part: Part, outOfMemory: OutOfMemory, limitBytes: number): EndCause {
  const limit = `its control group reached its memory limit of ${String(Math.ceil(limitBytes / 2 ** 20))} MiB`
  const why =
    outOfMemory === 'limit' ? limit : 'the host, or a control group above it, had no memory left'
  const reason = `the kernel killed ${part.name}: ${why}`
  return { first: part.name, reason, signal: 'SIGKILL', outOfMemory }
}

/** A part that is killed may have said why before: a program that panics does. */
function withLastWords(what: string, part: Part): string {
  const words = part.lastWords()
  return words === '' ? what : `${what}: ${words}`
}

function causeOnHost(reason: ShutdownReason | undefined): EndCause | undefined {
  switch (reason) {
    case 'host-signal':
      return { first: 'QEMU', reason: 'QEMU was asked to end by a signal' }
    case 'host-qmp-quit':
      return { first: 'QEMU', reason: 'QEMU was asked to end over QMP' }
    default:
      return undefined
  }
}

/** The cause of a machine that stands still while QEMU runs on. */
export function causeOfStall(stall: Stall, agent: AgentEvent | undefined): EndCause {
  if (stall === 'halted') return causeInGuest(agent, 'halted or powered off')
  return { first: 'QEMU', reason: `QEMU stopped the machine: ${stall}` }
}

/** What the agent said last says why a guest ended; `deed` is what the guest did otherwise. */
export function causeInGuest(event: AgentEvent | undefined, deed: string): EndCause {
  switch (event?.event) {
    case 'exited':
      return {
        first: 'app',
        reason: `the app exited with status ${String(event.code)}`,
        exitCode: event.code,
      }
    case 'signaled':
      return {
        first: 'app',
        reason: `the app was killed by ${signalName(event.signal)}`,
        signal: String(event.signal),
      }
    case 'failed':
      return { first: 'agent', reason: `the agent could not ${event.step}: ${event.error}` }
    default:
      return { first: 'guest', reason: `the guest ended without saying why: it ${deed}` }
  }
}

/** The same end, once somebody has asked for it: what ended first did so because of that. */
export function causeOnRequest(cause: EndCause, request: string): EndCause {
  return { ...cause, reason: `${request}; ${cause.reason}` }
}

/** A kernel that panics restarts, when its command line says so. */
function guestDeed(reason: ShutdownReason | undefined): string {
  if (reason === 'guest-shutdown') return 'shut down'
  return reason === 'guest-panic' ? 'panicked' : 'restarted or panicked'
}
