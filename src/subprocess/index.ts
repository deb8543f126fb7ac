// Child processes that are confined, owned and ended with us.

export { canChangeUsers, checkUnusedIds, uidRange, UIDS_PER_KEEPER } from './uid-range.ts'
export {
  FIRST_INHERITED_FD,
  startCard,
  whenReady,
  type Card,
  type CardSandbox,
} from './card-process.ts'
export { confine, type Confinement } from './confinement.ts'
export { deferred, type Deferred } from './deferred.ts'
export { checkDescriptorLimit, descriptorLimit } from './descriptor-limit.ts'
export { findProgram, PROGRAM_PATH } from './find-program.ts'
export { listenForChild } from './inherited-listener.ts'
export { Lifetime } from './lifetime.ts'
export {
  ManagedProcess,
  NO_WORDS,
  startProcess,
  type PartName,
  type ProcessEnd,
  type ProcessOptions,
} from './managed-process.ts'
export { LineChannel, type LineMessage } from './line-channel.ts'
export { processFacts, type ProcessFacts } from './process-facts.ts'
export { readLine } from './read-line.ts'
export {
  identifyChild,
  identifyProcess,
  isRunning,
  killProcess,
  type ProcessIdentity,
} from './process-identity.ts'
export { portFault } from './port-fault.ts'
export { ownerOfSocket } from './socket-owner.ts'
export { together } from './together.ts'
