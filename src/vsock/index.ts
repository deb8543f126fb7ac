export { connectGuest, type ConnectOptions } from './connect.ts'
export { startVsockDevice, type VsockDevice, type VsockDeviceOptions } from './device.ts'
export { encodeFrame, readFrames } from './frame.ts'
export { checkSocketPath, listenForGuest, reservedPorts, type PortOptions } from './listen.ts'
