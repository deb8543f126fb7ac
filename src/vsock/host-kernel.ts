// The host kernel's vsock device, by which a virtual machine has a CID of the host. The keeper opens it
// and the vsock card drives it: the card may open nothing itself.

import { closeSync, openSync } from 'node:fs'
import { CloisterError, reasonOf } from '../errors.ts'

export const HOST_KERNEL_DEVICE = '/dev/vhost-vsock'

/** An open device, which takes a CID only when the card asks for one. */
export interface HostKernel extends Disposable {
  readonly fd: number
}

/** @throws `ERR_VSOCK_KERNEL` when the device is missing, or this user may not open it. */
export function openHostKernel(): HostKernel {
  try {
    const fd = openSync(HOST_KERNEL_DEVICE, 'r+')
    return {
      fd,
      [Symbol.dispose]: () => {
        closeSync(fd)
      },
    }
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    const hint = hostKernelFix(errno)
    throw new CloisterError(
      'ERR_VSOCK_KERNEL',
      `${HOST_KERNEL_DEVICE} ${problemOf(errno, cause)}`,
      {
        cause,
        details: { path: HOST_KERNEL_DEVICE, errno },
        ...(hint === undefined ? {} : { hint }),
      },
    )
  }
}

/** @throws As {@link openHostKernel}. */
export function checkHostKernel(): void {
  openHostKernel()[Symbol.dispose]()
}

const MISSING = ['ENOENT', 'ENODEV', 'ENXIO']
const DENIED = ['EACCES', 'EPERM']

function problemOf(errno: string, cause: unknown): string {
  if (MISSING.includes(errno)) return 'is missing: this host has no vhost-vsock'
  return DENIED.includes(errno)
    ? 'cannot be opened by this user'
    : `cannot be opened: ${reasonOf(cause)}`
}

/** What to do where the device cannot be opened. */
function hostKernelFix(errno: string): string | undefined {
  if (MISSING.includes(errno))
    return 'Run `modprobe vhost_vsock` as root; in a container, pass the device: --device /dev/vhost-vsock.'
  return DENIED.includes(errno)
    ? 'Join the group of the device, usually kvm: `sudo usermod -aG kvm "$USER"`, then log in again; `ls -l /dev/vhost-vsock` shows its group and mode.'
    : undefined
}
