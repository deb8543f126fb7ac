// Enclaves as a caller sees them: the registry, their records, starting, asking and ending them. What a
// command, a library user or another runtime imports.

export { configDigest, readConfigData } from './config-data.ts'
export {
  DEFAULT_BOOT_TIMEOUT_MS,
  DEFAULT_MEMORY_MIB,
  describeLaunch,
  launchRequest,
  type LaunchOptions,
} from './describe-launch.ts'
export { openDirectories, type Directories } from './directories.ts'
export {
  excessOfSocketPath,
  journalPath,
  keeperSocketPath,
  logPath,
  networkDirectory,
  nsmDirectory,
  olderLogPath,
  savedConsolePath,
  tpmDirectory,
  vsockDirectory,
  vsockSocketPath,
  type Place,
} from './enclave-paths.ts'
export type { ChipInspection, Inspection } from './inspection.ts'
export { endEnclave } from './end-enclave.ts'
export { endDamaged } from './end-damaged.ts'
export { askInspection, askVsock, changePorts, type EnclaveReport } from './keeper-client.ts'
export { parseKeeperRequest, type KeeperReply, type KeeperRequest } from './keeper-request.ts'
export type { KeeperMessage, Seen } from './keeper-messages.ts'
export {
  cgroupUses,
  restartRules,
  type CgroupUse,
  type LaunchDescription,
  type LaunchRequest,
  type NetworkRequest,
  type RestartRule,
} from './launch-request.ts'
export { checkMemory, neededMemoryMib, type MachineSize } from './memory-size.ts'
export { availableMemoryMib } from './host-memory.ts'
export { encodeLogEntry, type LogEntry, type LogStream } from './log-entry.ts'
export { readEvents, type EnclaveEvent } from './read-events.ts'
export { readLogs, type ReadLogsOptions } from './read-logs.ts'
export { openConsole } from './open-console.ts'
export { connectWhenListening } from './connect-when-listening.ts'
export { explainRefusal } from './explain-refusal.ts'
export { untilEnd } from './until-end.ts'
export { connectToPort, waitForPort, type AwaitedPort } from './wait-for-port.ts'
export { findCards, findNetworkCard, findParentProgram, findPrograms } from './programs.ts'
export {
  endNow,
  isAlive,
  processesOf,
  writeRecord,
  type AliveRecord,
  type EnclaveEnd,
  type EnclaveRecord,
  type EndCause,
  type EndedRecord,
  limitsOf,
  type GroupFacts,
  type LimitFacts,
  type LaunchFacts,
  type MeasurementTexts,
  type RunningRecord,
  type StartingRecord,
} from './record.ts'
export { Registry } from './registry.ts'
export { startEnclave, type RunningEnclave } from './start-enclave.ts'
export { Timeline, type TimelineStep } from './timeline.ts'
