// KVM: without it enclaves run under emulation, so that nothing here is a failure.

import { existsSync, readFileSync } from 'node:fs'
import { probeAccelerator } from '../vmm/index.ts'
import { ok, type Finding } from './finding.ts'

export interface KvmFacts {
  /** Whether there is a /dev/kvm. */
  readonly hasDevice: boolean
  readonly cpuinfo: string
  readonly isRoot: boolean
  /** Whether the device is there, and this user may not open it. */
  readonly isDenied?: boolean
}

/** Whether guests run under KVM; a warning with a fix where they would be emulated. */
export function checkKvm(): Finding {
  const { accelerator, reason, code } = probeAccelerator()
  if (accelerator === 'kvm') return ok('KVM', reason)
  const facts: KvmFacts = {
    hasDevice: existsSync('/dev/kvm'),
    cpuinfo: readFileSync('/proc/cpuinfo', 'utf8'),
    isRoot: process.getuid?.() === 0,
    isDenied: code === 'EACCES',
  }
  const text = `${reason}; enclaves run under emulation, ten times slower`
  return { name: 'KVM', status: 'warning', text, fix: kvmFix(facts) }
}

const JOIN =
  'Join the group of the device: `sudo usermod -aG kvm "$USER"`, then log in again; `ls -l /dev/kvm` shows its group and mode (0660 is usual).'

/**
 * What stands between this host and KVM: a device that is there and refuses this user, else the CPU,
 * then the module, then the permissions.
 */
export function kvmFix({ hasDevice, cpuinfo, isRoot, isDenied = false }: KvmFacts): string {
  if (isDenied && !isRoot) return JOIN
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? []
  const vendor = flags.includes('svm') ? 'kvm_amd' : flags.includes('vmx') ? 'kvm_intel' : undefined
  if (vendor === undefined && flags.includes('hypervisor'))
    return 'This host is a virtual machine: turn on nested virtualization for it (on KVM the module parameter nested=1 of kvm_intel or kvm_amd and the CPU model host-passthrough; in a cloud, an instance type that offers it or bare metal).'
  if (vendor === undefined)
    return 'Turn on virtualization (VT-x, AMD-V or SVM) in the firmware of this host.'
  if (!hasDevice)
    return `Load the module: \`modprobe ${vendor}\`; in a container, pass the device: --device /dev/kvm.`
  if (isRoot) return 'Give the device to a group: `chgrp kvm /dev/kvm && chmod 660 /dev/kvm`.'
  return JOIN
}
