// Whether this host can run enclaves, and what to do where it cannot.

import { messageOf } from '../errors.ts'
import { checkControlGroups } from './control-groups.ts'
import type { Check, Finding } from './finding.ts'
import { checkHostVsock } from './host-vsock.ts'
import { checkConfinement, checkLimits, checkUserNamespaces, checkUsers } from './kernel.ts'
import { checkKvm } from './kvm.ts'
import {
  checkImageTool,
  checkNsmDevice,
  checkNetworkCard,
  checkParent,
  checkParts,
  checkQemu,
  checkSwtpm,
} from './programs.ts'
import {
  checkBlobs,
  checkClock,
  checkDirectories,
  checkMemory,
  checkTemporary,
} from './resources.ts'

export { kvmFix, type KvmFacts } from './kvm.ts'
export type { Finding } from './finding.ts'

export interface Examination {
  /** Where build-enclave finds the kernel and the agent. */
  readonly blobs: string
  /** Whether images come from registries, Docker daemons or Dockerfiles. */
  readonly withContainerTools: boolean
}

/** Looks at everything that enclaves need here; one finding for each. */
export async function examineHost(options: Examination): Promise<readonly Finding[]> {
  const checks: readonly (readonly [string, Check])[] = [
    ['KVM', checkKvm],
    ['QEMU', checkQemu],
    ['NSM', checkNsmDevice],
    ['swtpm', checkSwtpm],
    ['cards', checkParts],
    ['network card', checkNetworkCard],
    ['parent programs', checkParent],
    ['CIDs of this host', checkHostVsock],
    ['guest kernel and agent', () => checkBlobs(options.blobs)],
    ['kernel', checkConfinement],
    ['user namespaces', checkUserNamespaces],
    ['user ids', checkUsers],
    ['limits', checkLimits],
    ['control groups', checkControlGroups],
    ['memory', checkMemory],
    ['directories', checkDirectories],
    ['temporary files', checkTemporary],
    ['clock', checkClock],
    ['skopeo', () => checkImageTool('skopeo', options.withContainerTools)],
    ['buildah', () => checkImageTool('buildah', options.withContainerTools)],
  ]
  return Promise.all(
    checks.map(async ([name, check]): Promise<Finding> => {
      try {
        return await check()
      } catch (error) {
        const fix = 'Run `cloister doctor --verbose`, and report its output.'
        return { name, status: 'failed', text: `not examined: ${messageOf(error)}`, fix }
      }
    }),
  )
}
