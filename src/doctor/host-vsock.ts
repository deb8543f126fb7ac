// The kernel's vsock device, which only `run-enclave --vsock kernel` needs.

import { CloisterError, messageOf } from '../errors.ts'
import { checkHostKernel, HOST_KERNEL_DEVICE } from '../vsock/index.ts'
import { ok, type Finding } from './finding.ts'

const NAME = 'CIDs of this host'

/** Whether an enclave can have a CID of this host's AF_VSOCK: the device, its module, its permissions. */
export function checkHostVsock(): Finding {
  try {
    checkHostKernel()
    return ok(NAME, `${HOST_KERNEL_DEVICE} can be opened: \`run-enclave --vsock kernel\` works`)
  } catch (error) {
    const text = `${messageOf(error)}; \`run-enclave --vsock kernel\` does not work`
    const fix = error instanceof CloisterError ? error.hint : 'Run `modprobe vhost_vsock`.'
    return { name: NAME, status: 'note', text, fix }
  }
}
