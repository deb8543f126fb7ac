// The host's end of vsock: port lists, framing, connections, and the vsock card's process.

export { connectGuest, type ConnectOptions } from './connect.ts'
export { startVsockCard, type VsockCard, type VsockCardOptions } from './card.ts'
export { VsockCardChannel } from './card-channel.ts'
export type {
  CardConnection,
  CardCounters,
  CardStatus,
  Refusal,
  VsockReport,
} from './card-report.ts'
export { Relays, type Traffic } from './relays.ts'
export { forwardToGuest, forwardToHost, type Forwarded } from './forward.ts'
export {
  checkDistinct,
  describeHostEnd,
  parseToGuest,
  parseToHost,
  type Forwarding,
} from './forward-spec.ts'
export { encodeFrame, readFrames } from './frame.ts'
export { checkSocketPath, listenForGuest, SUN_PATH_MAX_BYTES, type PortOptions } from './listen.ts'
export { openHostKernel, checkHostKernel, HOST_KERNEL_DEVICE } from './host-kernel.ts'
export { checkVsockKind, vsockKinds, type VsockKind } from './vsock-kind.ts'
export {
  checkPortList,
  listsPort,
  noPorts,
  reservedGuestPorts,
  reservedPorts,
  type PortLists,
} from './port-list.ts'
