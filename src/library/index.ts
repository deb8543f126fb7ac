// What programs and the command line share: building, starting, finding enclaves. src/index.ts says what
// of it is the package's.

export {
  buildEnclave,
  type BuildEnclaveOptions,
  type BuiltEnclave,
  type SignOptions,
} from './build-enclave.ts'
export type { BuildFlags, SigningFlags } from './build-flags.ts'
export {
  ARCHITECTURES,
  buildOptions,
  defaultBlobs,
  readInputs,
  useArtifactsDirectory,
  type BuildInputs,
} from './build-options.ts'
export { defined } from './defined.ts'
export {
  Enclave,
  type EnclaveState,
  type LogOptions,
  type ReportOptions,
  type StopOptions,
  type WaitOptions,
} from './enclave.ts'
export { planLaunch } from './plan-launch.ts'
export {
  findEnclave,
  listEnclaves,
  runEnclave,
  watchEnclaves,
  type ListOptions,
  type RunEnclaveOptions,
  type WatchOptions,
} from './run-enclave.ts'
