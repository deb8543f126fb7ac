export { openDirectories, type Directories } from './directories.ts'
export {
  journalPath,
  keeperSocketPath,
  nsmDirectory,
  savedConsolePath,
  tpmDirectory,
  vsockDirectory,
  vsockSocketPath,
  type Place,
} from './enclave-paths.ts'
export { endEnclave } from './end-enclave.ts'
export { askKeeper, askVsock, changePorts } from './keeper-client.ts'
export { parseKeeperRequest, type KeeperReply, type KeeperRequest } from './keeper-request.ts'
export type { KeeperMessage, LaunchRequest, Programs, Seen } from './launch-request.ts'
export { checkMemory, MIN_MEMORY_MIB } from './memory-size.ts'
export { openConsole } from './open-console.ts'
export { findPrograms } from './programs.ts'
export {
  writeRecord,
  type EnclaveEnd,
  type EnclaveRecord,
  type EnclaveState,
  type Measurements,
} from './record.ts'
export { isAlive, Registry } from './registry.ts'
export { startEnclave, type RunningEnclave } from './start-enclave.ts'
export { Timeline, type TimelineStep } from './timeline.ts'
