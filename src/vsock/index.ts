export { connectGuest, type ConnectOptions } from './connect.ts'
export { startVsockCard, type CardSandbox, type VsockCard, type VsockCardOptions } from './card.ts'
export { encodeFrame, readFrames } from './frame.ts'
export { checkSocketPath, listenForGuest, reservedPorts, type PortOptions } from './listen.ts'
