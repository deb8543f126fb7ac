// What systemd says of a control group, and a group of our own from it: a scope with `Delegate=`, which
// systemd removes when its last process has ended (systemd's docs/CGROUP_DELEGATION.md).

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { PROGRAM_PATH } from '../subprocess/index.ts'

export type Manager = 'system' | 'user'

const TIMEOUT_MS = 10_000

/** Whether PID 1 is systemd (sd_booted(3)). */
export function isBootedWithSystemd(): boolean {
  return existsSync('/run/systemd/system')
}

/** Whether a unit's control group may be divided by its own processes. */
export async function isDelegated(unit: string, manager: Manager): Promise<boolean> {
  const args = [`--${manager}`, 'show', '--property=Delegate', '--value', '--', unit]
  return (await outputOf('systemctl', args).catch(() => '')).trim() === 'yes'
}

/**
 * Moves a process into a scope of its own. Rejects where systemd refuses.
 *
 * @param name - Of the unit, with `.scope`.
 */
export async function moveToScope(name: string, pid: number, manager: Manager): Promise<void> {
  const bus = 'org.freedesktop.systemd1'
  const properties = [
    ...['PIDs', 'au', '1', String(pid)],
    ...['Delegate', 'b', 'true'],
    ...['CollectMode', 's', 'inactive-or-failed'],
    ...['Description', 's', 'Keeper and parts of an enclave'],
  ]
  await outputOf('busctl', [
    ...[`--${manager}`, '--quiet', 'call', bus, '/org/freedesktop/systemd1', `${bus}.Manager`],
    ...['StartTransientUnit', 'ssa(sv)a(sa(sv))', name, 'fail', '4', ...properties, '0'],
  ])
}

function outputOf(program: string, args: readonly string[]): Promise<string> {
  const { XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS } = process.env
  const env = { PATH: PROGRAM_PATH, LC_ALL: 'C', XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS }
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: TIMEOUT_MS, env }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr.trim() || error.message, { cause: error }))
    })
  })
}
