// The package `cloister`: enclaves for programs, see docs/library.md.

export {
  buildEnclave,
  findEnclave,
  listEnclaves,
  runEnclave,
  watchEnclaves,
  type BuildEnclaveOptions,
  type BuiltEnclave,
  type Enclave,
  type EnclaveState,
  type ListOptions,
  type LogOptions,
  type ReportOptions,
  type RunEnclaveOptions,
  type SignOptions,
  type StopOptions,
  type WaitOptions,
  type WatchOptions,
} from './library/index.ts'
export type {
  EnclaveEnd,
  EnclaveEvent,
  EnclaveRecord,
  EnclaveReport,
  LogEntry,
  MeasurementTexts,
  RestartRule,
} from './enclaves/index.ts'
export { CloisterError, type ErrorCode } from './errors.ts'
export type { Progress } from './image/index.ts'
export type { Publication } from './network/index.ts'
