// Whether KVM can run a guest here. `/dev/kvm` alone proves nothing: it also exists where the CPU
// offers no hardware virtualization, and QEMU then fails after it has started.

import { closeSync, constants, openSync, readFileSync, statSync } from 'node:fs'
import { messageOf } from '../errors.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface AcceleratorChoice {
  readonly accelerator: Accelerator
  /** Why, in words for a person. */
  readonly reason: string
}

export interface HostPaths {
  readonly kvmDevice: string
  readonly cpuinfo: string
}

const hostPaths: HostPaths = { kvmDevice: '/dev/kvm', cpuinfo: '/proc/cpuinfo' }

/** KVM where `/dev/kvm` opens and the CPU has vmx or svm, TCG (emulation) elsewhere. */
export function probeAccelerator(paths: HostPaths = hostPaths): AcceleratorChoice {
  const denied = whyNotOpen(paths.kvmDevice)
  if (denied !== undefined)
    return { accelerator: 'tcg', reason: `KVM cannot run a guest: ${denied}` }
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

function whyNotOpen(device: string): string | undefined {
  try {
    closeSync(openSync(device, constants.O_RDWR))
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function hasVirtualization(cpuinfo: string): boolean {
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo)
}
