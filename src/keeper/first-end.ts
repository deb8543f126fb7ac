// What ends an enclave first: one of its processes, a guest that stands still, or an agent that has
// said its last word while its machine runs on.

import { setTimeout as sleep } from 'node:timers/promises'
import type { EndCause } from '../enclaves/index.ts'
import type { Machine } from '../vmm/index.ts'
import { causeInGuest, causeOfEnd, causeOfStall, causingEnd, type Part } from './end-cause.ts'
import type { GuestReports } from './guest/guest-reports.ts'
import type { EnclaveGroups } from './parts/enclave-groups.ts'

/** How long a guest may take to end its machine after its agent's last word. */
const LAST_WORD_MS = 3000

export interface Ending {
  readonly parts: readonly Part[]
  readonly guest: GuestReports
  readonly machine: Machine
  readonly groups: Pick<EnclaveGroups, 'qemu' | 'others'>
}

/** Settles when the enclave has ended, with the reason; never rejects. */
export function firstEnd(ending: Ending): Promise<EndCause> {
  return Promise.race([endOfPart(ending), endOfGuest(ending), endOfAgent(ending)])
}

/** The end that the agent has announced, before it is there. */
export function foretoldEnd({ lastEvent }: GuestReports): EndCause | undefined {
  const isLast = lastEvent !== undefined && lastEvent.event !== 'started'
  return isLast ? causeInGuest(lastEvent, '') : undefined
}

async function endOfPart({ parts, guest, machine, groups }: Ending): Promise<EndCause> {
  const ends = parts.map(async (part) => ({ part, end: await part.ended, agent: guest.lastEvent }))
  const first = await causingEnd(await Promise.race(ends), machine.process)
  const qemu = first.part === machine.process ? await machine.shutdownReason() : undefined
  const group = first.part === machine.process ? groups.qemu : groups.others
  const memory = group && { why: group.outOfMemory(), limitBytes: group.limits.memoryBytes }
  return causeOfEnd(first.part, first.end, { agent: first.agent, qemu, memory })
}

async function endOfGuest({ guest, machine }: Ending): Promise<EndCause> {
  return causeOfStall(await machine.stalled, guest.lastEvent)
}

async function endOfAgent({ guest }: Ending): Promise<EndCause> {
  const agent = await guest.lastWord
  await sleep(LAST_WORD_MS, undefined, { ref: false })
  return causeInGuest(agent, 'did not end its machine')
}
