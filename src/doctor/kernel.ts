// What the kernel of this host offers, and its limits.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { messageOf } from '../errors.ts'
import {
  checkUnusedIds,
  confine,
  descriptorLimit,
  uidRange,
  UIDS_PER_KEEPER,
} from '../subprocess/index.ts'
import { ok, type Finding } from './finding.ts'

/** What the vsock card takes for as many connections as an enclave may have. */
const NEEDED_DESCRIPTORS = 2112
/** QEMU, swtpm, two cards and the keeper, with their threads. */
const NEEDED_PROCESSES = 64

/** A user without privileges, on every distribution. */
const NOBODY = 65534

/**
 * User namespaces, by which each card gets a root directory and a network of its own. Tried
 * without privileges, as the cards run: what root may says nothing.
 */
export async function checkUserNamespaces(): Promise<Finding> {
  const name = 'user namespaces'
  const user = process.getuid?.() === 0 ? { uid: NOBODY } : {}
  const [command = '', ...args] = confine(['unshare', '--user', '--net', 'true'], user)
  const isAllowed = await new Promise((resolve) => {
    execFile(command, args, (error) => {
      resolve(error === null)
    })
  })
  if (isAllowed) return ok(name, 'unprivileged processes can create them')
  const text =
    'unprivileged processes cannot create them: the cards run without their own network and root directory'
  return { name, status: 'warning', text, fix: namespacesFix() }
}

function namespacesFix(): string {
  if (sysctl('kernel/apparmor_restrict_unprivileged_userns') === '1')
    return 'AppArmor forbids them: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or a profile that allows userns.'
  if (sysctl('user/max_user_namespaces') === '0')
    return 'Allow some: `sysctl user.max_user_namespaces=10000`.'
  if (sysctl('kernel/unprivileged_userns_clone') === '0')
    return 'Allow them: `sysctl kernel.unprivileged_userns_clone=1`.'
  return 'In a container, let its seccomp profile allow unshare(2).'
}

/** Seccomp and Landlock confine the cards; user notification is what `cloister parent` works with. */
export function checkConfinement(): Finding {
  const name = 'kernel'
  const missing = [
    ...(isAtLeast(5, 13) ? [] : ['Landlock (Linux 5.13)']),
    ...(isAtLeast(5, 14) ? [] : ['`cloister parent` (Linux 5.14)']),
  ]
  if (readFile('/proc/self/status')?.includes('Seccomp:') !== true) missing.unshift('seccomp')
  if (missing.length === 0) return ok(name, `Linux ${release()}`)
  return {
    ...{ name, status: 'warning', text: `Linux ${release()} lacks ${missing.join(', ')}` },
    fix: 'Use a newer kernel with CONFIG_SECCOMP_FILTER and CONFIG_SECURITY_LANDLOCK.',
  }
}

/** The users that the parts run as, where the keeper is root. */
export async function checkUsers(): Promise<Finding> {
  const name = 'user ids'
  if (process.getuid?.() !== 0)
    return ok(name, 'all parts run as this user; started by root, each part runs as its own user')
  try {
    const { first, count } = uidRange()
    await checkUnusedIds([first, first + 1, first + UIDS_PER_KEEPER, first + count - 1])
    return ok(name, `${String(first)} to ${String(first + count - 1)} are not used by anyone else`)
  } catch (error) {
    const fix =
      'Set CLOISTER_UID_RANGE=first:count to ids that nothing else uses, in /etc/subuid at most under the name cloister.'
    return { name, status: 'failed', text: messageOf(error), fix }
  }
}

/**
 * Whether this process may open enough files and start enough processes for one enclave
 * (`/proc/self/limits`, soft limits).
 */
export function checkLimits(): Finding {
  const name = 'limits'
  const files = descriptorLimit()
  const [, processes = 'unlimited'] =
    /^Max processes\s+(\d+)/m.exec(readFile('/proc/self/limits') ?? '') ?? []
  const text = `${String(files)} open files, ${processes} processes`
  if (files < NEEDED_DESCRIPTORS) {
    const fix =
      'Raise the limit of open files (`ulimit -n`, both the soft and the hard one) to 4096 or more.'
    return { name, status: 'failed', text: `${text}: too few open files`, fix }
  }
  if (Number(processes) < NEEDED_PROCESSES) {
    const fix = 'Raise the limit of processes (`ulimit -u`, or pids.max of the control group).'
    return { name, status: 'failed', text: `${text}: too few processes`, fix }
  }
  return ok(name, text)
}

function isAtLeast(major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = release().split(/[.-]/).map(Number)
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}

function sysctl(name: string): string | undefined {
  return readFile(`/proc/sys/${name}`)?.trim()
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
