export { connectGuest, type ConnectOptions } from './connect.ts'
export { startVsockCard, type VsockCard, type VsockCardOptions } from './card.ts'
export { CardControl, type CardSandbox } from './card-control.ts'
export type {
  CardConnection,
  CardCounters,
  CardStatus,
  Refusal,
  VsockReport,
} from './card-report.ts'
export { encodeFrame, readFrames } from './frame.ts'
export { checkSocketPath, listenForGuest, type PortOptions } from './listen.ts'
export {
  closedNsmCardPolicy,
  closedPolicy,
  closePorts,
  openPorts,
  policyTexts,
  reservedPorts,
  type PortPolicy,
} from './port-policy.ts'
export { parsePortSet, type PortSet } from './port-set.ts'
