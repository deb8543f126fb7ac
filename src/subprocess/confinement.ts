// Who a helper process (QEMU, swtpm, the vsock card) runs as. The work is done by setpriv of
// util-linux: it drops the user, the groups and every capability, forbids new privileges, and asks
// the kernel to kill the process when the keeper that started it dies (prctl(2) PR_SET_PDEATHSIG).

export interface Confinement {
  /** User and group to run as; absent when the keeper is not root and cannot change them. */
  readonly uid?: number
  /** Supplementary groups to keep, for devices it must open; only with `uid`. */
  readonly groups?: readonly number[]
  /** Control groups to join before anything else, as their directories. */
  readonly controlGroups?: readonly string[]
}

/**
 * A keeper that died before prctl took effect is not noticed by the kernel, so the process looks
 * for its parent afterwards and gives up when it has another one.
 */
const UNLESS_ORPHANED = '[ "$PPID" = "$0" ] || exit 1; exec "$@"'

/** Before it drops its user, who could not; 0 stands for the process that writes. */
const JOIN_GROUPS =
  'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'

/** The argv that runs `command` confined, as a child of `parentPid`. */
export function confine(
  command: readonly string[],
  confinement: Confinement,
  parentPid: number = process.pid,
): readonly string[] {
  const { controlGroups = [] } = confinement
  return [
    ...(controlGroups.length === 0
      ? []
      : ['/bin/sh', '-c', JOIN_GROUPS, 'join', ...controlGroups, '--']),
    'setpriv',
    ...(confinement.uid === undefined ? [] : dropUser(confinement.uid, confinement.groups ?? [])),
    '--no-new-privs',
    '--pdeathsig=KILL',
    '--',
    ...['/bin/sh', '-c', UNLESS_ORPHANED, String(parentPid)],
    ...command,
  ]
}

function dropUser(uid: number, groups: readonly number[]): readonly string[] {
  return [
    `--reuid=${String(uid)}`,
    `--regid=${String(uid)}`,
    groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`,
    '--inh-caps=-all',
    '--bounding-set=-all',
  ]
}
