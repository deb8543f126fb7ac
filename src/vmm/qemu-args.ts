// MachineSpec to QEMU's command line. The machine is a microvm with one device, vhost-user-vsock,
// and for a stock AWS image with a second one, the NSM: no PCI, no ACPI, and outside debug mode no
// serial port but that of a stock AWS image, whose output QEMU drops. QEMU's own sandbox is on.

import { HUGE_PAGE_MIB } from './huge-pages.ts'
import { machineFds, type MachineSpec } from './machine-spec.ts'

/**
 * Everything that TCG can emulate but string instructions said to be fast: TCG runs them byte by
 * byte, and a kernel that is told otherwise copies and clears its memory with them. More of those
 * (fzrm, fsrs, fsrc) came with QEMU 8.0, and earlier ones know no such names to leave out: all of
 * leaf 7.1 goes, where TCG has nothing else but CMPccXADD.
 */
const TCG_CPU = 'max,-erms,-fsrm,level-func7=0'

/** Room for translated code under TCG, MiB; it is used only as far as the guest needs it. */
const TCG_BUFFER_MIB = 128

/** QEMU's device for any vhost-user back end; QEMU 10.2 and later. */
export const NSM_DEVICE = 'vhost-user-test-device'
/** VIRTIO_ID_NITRO_SEC_MOD of Linux' include/uapi/linux/virtio_ids.h. */
const NSM_VIRTIO_ID = 33

/** The argv of QEMU, program name left out. Pure. */
export function qemuArgs(spec: MachineSpec): readonly string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-display', 'none'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-machine', machine(spec)],
    ...processor(spec),
    ...memory(spec),
    ...['-kernel', inherited(machineFds.kernel)],
    ...['-initrd', inherited(machineFds.initrd)],
    ...['-append', spec.cmdline],
    ...['-chardev', `socket,id=vsock,fd=${String(machineFds.vsock)}`],
    ...['-device', 'vhost-user-vsock-device,chardev=vsock'],
    ...(spec.nsmCard ? nsmDevice() : []),
    ...['-chardev', `socket,id=qmp,fd=${String(machineFds.qmp)}`],
    ...['-mon', 'chardev=qmp,mode=control'],
    ...serialPort(spec),
  ]
}

function machine(spec: MachineSpec): string {
  const serial = spec.serialPort === 'none' ? 'off' : 'on'
  return `microvm,acpi=off,pcie=off,isa-serial=${serial},auto-kernel-cmdline=off,memory-backend=ram`
}

function processor({ accelerator, cpuCount }: MachineSpec): readonly string[] {
  const smp = ['-smp', String(cpuCount)]
  if (accelerator === 'kvm') return ['-accel', 'kvm', '-cpu', 'host', ...smp]
  return ['-accel', `tcg,tb-size=${String(TCG_BUFFER_MIB)}`, '-cpu', TCG_CPU, ...smp]
}

/** Shared, because the vsock card maps the guest's memory. */
function memory({ memoryMib, hugePages = false }: MachineSpec): readonly string[] {
  const size = `${String(memoryMib)}M`
  const pages = hugePages ? `,hugetlb=on,hugetlbsize=${String(HUGE_PAGE_MIB)}M` : ''
  return ['-m', size, '-object', `memory-backend-memfd,id=ram,size=${size},share=on${pages}`]
}

/** After the vsock card: QEMU gives devices their places, which the guest is told, in this order. */
function nsmDevice(): readonly string[] {
  return [
    ...['-chardev', `socket,id=nsm,fd=${String(machineFds.nsm)}`],
    ...['-device', `${NSM_DEVICE},chardev=nsm,virtio-id=${String(NSM_VIRTIO_ID)},num_vqs=1`],
  ]
}

/**
 * Where output is dropped, input is not: QEMU's standard output is /dev/null, its standard input holds
 * {@link END_OF_INPUT}. (The chardev `null` would leave every reader of the guest waiting.)
 */
function serialPort({ serialPort }: MachineSpec): readonly string[] {
  if (serialPort === 'none') return []
  const channel = serialPort === 'dropped' ? 'stdio' : `socket,fd=${String(machineFds.console)}`
  return ['-chardev', `${channel},id=console`, '-serial', 'chardev:console']
}

function inherited(fd: number): string {
  return `/proc/self/fd/${String(fd)}`
}
