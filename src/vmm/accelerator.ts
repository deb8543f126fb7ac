// Whether KVM can run a guest here. `/dev/kvm` alone proves nothing: it also exists where the CPU
// offers no hardware virtualization, and QEMU then fails after it has started.

import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs'
import { CloisterError, reasonOf } from '../errors.ts'

export type Accelerator = 'kvm' | 'tcg'

/** What to do where the device cannot be opened. */
const HINTS: Readonly<Record<string, string>> = {
  ENOENT:
    'Enable virtualization in the firmware (on a virtual machine: nested virtualization), load kvm_intel or kvm_amd, or use --accelerator tcg.',
  EACCES:
    'Join the group that owns /dev/kvm (`sudo usermod -aG kvm "$USER"`, then log in again), or use --accelerator tcg.',
}

export interface AcceleratorChoice {
  readonly accelerator: Accelerator
  /** Why, in words for a person. */
  readonly reason: string
  /** Of the system's error when the device does not open, as `EACCES`. */
  readonly code?: string
}

export interface HostPaths {
  readonly kvmDevice: string
  readonly cpuinfo: string
}

const hostPaths: HostPaths = { kvmDevice: '/dev/kvm', cpuinfo: '/proc/cpuinfo' }

/** KVM where `/dev/kvm` opens and the CPU has vmx or svm, TCG (emulation) elsewhere. */
export function probeAccelerator(paths: HostPaths = hostPaths): AcceleratorChoice {
  const denied = openFailure(paths.kvmDevice)
  if (denied !== undefined) {
    const reason = `KVM cannot run a guest: ${denied.message}`
    return { accelerator: 'tcg', reason, ...(denied.code !== undefined && { code: denied.code }) }
  }
  if (isForRootAlone(paths.kvmDevice)) {
    return {
      accelerator: 'tcg',
      reason: `KVM cannot run a guest: only root may open ${paths.kvmDevice}, and QEMU does not run as root`,
    }
  }
  if (!hasVirtualization(readFileSync(paths.cpuinfo, 'utf8'))) {
    return {
      accelerator: 'tcg',
      reason: `KVM cannot run a guest: ${paths.kvmDevice} opens, but the CPU has neither vmx nor svm`,
    }
  }
  return { accelerator: 'kvm', reason: `${paths.kvmDevice} opens and the CPU has vmx or svm` }
}

/**
 * Refuses KVM where it cannot run a guest; its reason would otherwise be lost in QEMU's end.
 * @throws `ERR_VMM_KVM`
 */
export function checkKvm(paths: HostPaths = hostPaths): void {
  const { accelerator, reason, code } = probeAccelerator(paths)
  if (accelerator === 'kvm') return
  const hint = HINTS[code ?? '']
  throw new CloisterError('ERR_VMM_KVM', reason, hint === undefined ? {} : { hint })
}

/** The group that owns /dev/kvm; none where there is no such device. */
export function kvmGroups(): readonly number[] {
  const found = statSync(hostPaths.kvmDevice, { throwIfNoEntry: false })
  return found === undefined ? [] : [found.gid]
}

/** QEMU never runs as root: what only root may open is of no use to it. */
function isForRootAlone(device: string): boolean {
  const { mode } = statSync(device)
  return process.getuid?.() === 0 && (mode & 0o060) !== 0o060 && (mode & 0o006) !== 0o006
}

function openFailure(device: string): { message: string; code: string | undefined } | undefined {
  try {
    closeSync(openSync(device, constants.O_RDWR))
    return undefined
  } catch (error) {
    const message = `cannot open ${device}: ${reasonOf(error)}`
    return { message, code: (error as NodeJS.ErrnoException).code }
  }
}

function hasVirtualization(cpuinfo: string): boolean {
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo)
}
