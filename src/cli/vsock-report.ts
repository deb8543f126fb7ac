// What goes on at the vsock of running enclaves, asked of their keepers all at once. One that hangs
// costs two seconds and is told, not waited for.

import { messageOf } from '../errors.ts'
import {
  askVsock,
  type EnclaveRecord,
  type EnclaveReport,
  type Registry,
} from '../enclaves/index.ts'
import type { NetworkReport } from '../network/index.ts'
import type { VsockReport } from '../vsock/index.ts'
import { printProgress } from './print.ts'

type Json = Readonly<Record<string, unknown>>

/** By enclave id; an enclave that does not run, or whose keeper or card does not answer, has none. */
export async function vsockReports(
  registry: Registry,
  records: readonly EnclaveRecord[],
  { connections = false, isQuiet = false } = {},
): Promise<ReadonlyMap<string, EnclaveReport>> {
  const running = records.filter(({ state }) => state === 'RUNNING')
  const reports = await Promise.all(
    running.map(async ({ id, description }) => {
      try {
        return [[id, await askVsock(registry.directory(id), connections)] as const]
      } catch (error) {
        if (!isQuiet)
          printProgress(
            `Could not read the vsock status of ${description.name}: ${messageOf(error)}`,
          )
        return []
      }
    }),
  )
  return new Map(reports.flat())
}

/** The report with nitro-cli's manner of keys. */
export function vsockJson(report: VsockReport): Json {
  const { parentPorts, guestPorts, limits, connections, bufferedBytes, counters } = report
  return {
    ParentPorts: parentPorts,
    GuestPorts: guestPorts,
    Connections: connections,
    BufferedBytes: bufferedBytes,
    Counters: capitalized(counters),
    Limits: capitalized(limits),
    ...(report.connectionList === undefined
      ? {}
      : { ConnectionList: report.connectionList.map(capitalized) }),
  }
}

/** The network's report with nitro-cli's manner of keys. */
export function networkJson(report: NetworkReport): Json {
  const { flows, maxFlows, counters, refused, refusals, refusedByRule, arrivals } = report
  return {
    Flows: flows,
    MaxFlows: maxFlows,
    Counters: capitalized(counters),
    Refused: refused,
    Refusals: refusals.map(capitalized),
    RefusedByRule: refusedByRule.map(capitalized),
    ...(arrivals !== undefined && {
      Arrivals: {
        Open: arrivals.open,
        Max: arrivals.max,
        Counters: capitalized(arrivals.counters),
      },
    }),
  }
}

function capitalized(fields: object): Json {
  const entries = Object.entries(fields) as readonly (readonly [string, unknown])[]
  return Object.fromEntries(
    entries.map(([key, value]) => [`${key.charAt(0).toUpperCase()}${key.slice(1)}`, value]),
  )
}
