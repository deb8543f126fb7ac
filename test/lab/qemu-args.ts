// LabOptions to the command line of the lab's QEMU. TCG emulates an AMD processor with SVM and nested
// paging, so that Linux inside offers a /dev/kvm that works. There is no network.

import type { LabOptions } from './options.ts'

export interface LabFiles {
  readonly kernel: string
  readonly initramfs: string
  /** In the order /dev/vda, /dev/vdb, …; all but the persistent one are only read. */
  readonly disks: readonly { readonly path: string; readonly readOnly: boolean }[]
  /** OVMF's code, and variables of this machine's own; only with UEFI. */
  readonly firmware: { readonly code: string; readonly variables: string } | undefined
  /** swtpm's control socket; only with a TPM. */
  readonly tpmSocket: string | undefined
}

/** Descriptors that QEMU inherits. */
export const CHANNEL_FD = 3

/** TCG runs string instructions byte by byte: a kernel must not think them fast. */
const CPU = 'EPYC,+svm,+npt,-erms,-fsrm'

/**
 * The processors of TCG have one TSC. Linux takes those of two AMD processors for different ones unless they
 * are invariant, which TCG's cannot be: it would then read the HPET, in QEMU, and its KVM would move
 * every guest's clock each time that the guest is scheduled.
 */
const CMDLINE = 'console=ttyS0 quiet panic=1 mitigations=off tsc=reliable'

/** For `inside/start`. */
const WITH_SYSTEMD = 'lab.systemd'

export function labQemuArgs(options: LabOptions, files: LabFiles): readonly string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-net', 'none'],
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', CPU],
    ...['-smp', '2', '-m', String(options.memoryMib)],
    ...['-kernel', files.kernel, '-initrd', files.initramfs],
    ...['-append', options.systemd ? `${CMDLINE} ${WITH_SYSTEMD}` : CMDLINE],
    ...['-chardev', 'stdio,id=console', '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci', '-chardev', `socket,id=channel,fd=${String(CHANNEL_FD)}`],
    ...['-device', 'virtserialport,chardev=channel,name=lab', '-device', 'virtio-rng-pci'],
    ...files.disks.flatMap(disk),
    ...(files.firmware === undefined ? [] : flash(files.firmware)),
    ...(files.tpmSocket === undefined ? [] : tpm(files.tpmSocket)),
  ]
}

function disk({ path, readOnly }: LabFiles['disks'][number]): readonly string[] {
  return ['-drive', `if=virtio,format=raw,readonly=${readOnly ? 'on' : 'off'},file=${path}`]
}

function flash({ code, variables }: NonNullable<LabFiles['firmware']>): readonly string[] {
  return [
    ...['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${code}`],
    ...['-drive', `if=pflash,format=raw,unit=1,file=${variables}`],
  ]
}

function tpm(socket: string): readonly string[] {
  return [
    ...['-chardev', `socket,id=tpm,path=${socket}`, '-tpmdev', 'emulator,id=tpm,chardev=tpm'],
    ...['-device', 'tpm-crb,tpmdev=tpm'],
  ]
}
