// The virtual machine: as data, as QEMU's command line, as a running QEMU.

export {
  kvmGroups,
  checkKvm,
  probeAccelerator,
  type Accelerator,
  type AcceleratorChoice,
} from './accelerator.ts'
export { cmdlineSuffix, isStockImage, looksForNsmCard } from './device-places.ts'
export { checkHugePages } from './huge-pages.ts'
export type { MachineReport } from './machine-report.ts'
export { Machine, type MachineOptions } from './machine.ts'
export type { MachineSpec, SerialPort } from './machine-spec.ts'
export { offersDevice } from './offers-device.ts'
export type { ShutdownReason } from './qmp.ts'
export type { Stall } from './stall-watch.ts'
export { NSM_DEVICE, qemuArgs } from './qemu-args.ts'
