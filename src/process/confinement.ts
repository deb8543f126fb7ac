// Who a helper process (QEMU, swtpm, the vsock device) runs as. The work is done by setpriv of
// util-linux: it drops the user, the groups and every capability, forbids new privileges, and asks
// the kernel to kill the process when the keeper that started it dies (prctl(2) PR_SET_PDEATHSIG).

export interface Confinement {
  /** User and group to run as; absent when the keeper is not root and cannot change them. */
  readonly uid?: number
}

/** The argv that runs `command` confined. */
export function confine(command: readonly string[], confinement: Confinement): readonly string[] {
  return [
    'setpriv',
    ...(confinement.uid === undefined ? [] : dropUser(confinement.uid)),
    '--no-new-privs',
    '--pdeathsig=KILL',
    '--',
    ...command,
  ]
}

function dropUser(uid: number): readonly string[] {
  return [
    `--reuid=${String(uid)}`,
    `--regid=${String(uid)}`,
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
  ]
}
