// From the plan to a place where groups with limits can be made.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf } from '../errors.ts'
import type { GroupBase } from './group.ts'
import { controllers, type Controller } from './hierarchy.ts'
import { MAIN_GROUP, planGroups, type GroupPlan } from './plan.ts'
import { moveToScope, type Manager } from './systemd.ts'

/** Why an enclave has no limits. */
export interface Unlimited {
  readonly reason: string
  readonly fix: string
}

/** A process that forks while its group is emptied is found again. */
const MOVE_ROUNDS = 20
const SCOPE_MS = 5000
const RETRY_MS = 20

/** Prepares the place where this process makes its control groups, or says why there is none. */
export async function openGroupBase(): Promise<GroupBase | Unlimited> {
  const plan = await planGroups()
  try {
    return await carryOut(plan)
  } catch (error) {
    const reason = `control groups cannot be used: ${reasonOf(error)}`
    return { reason, fix: 'Run `cloister doctor`, or start with --cgroup off.' }
  }
}

async function carryOut(plan: GroupPlan): Promise<GroupBase | Unlimited> {
  switch (plan.how) {
    case 'none':
      return plan
    case 'legacy':
      return { version: 1, parents: plan.parents }
    case 'unified':
      return openUnified(plan.parent, plan.isOurs)
    case 'scope':
      return openUnified(await ownScope(plan.manager), true)
  }
}

/** @returns The directory of a new scope, which this process is in. */
async function ownScope(manager: Manager): Promise<string> {
  const name = `cloister-keeper-${String(process.pid)}.scope`
  await moveToScope(name, process.pid, manager)
  const deadline = performance.now() + SCOPE_MS
  while (performance.now() < deadline) {
    const plan = await planGroups()
    if (plan.how === 'unified' && plan.parent.endsWith(`/${name}`)) return plan.parent
    await sleep(RETRY_MS)
  }
  throw new Error(`systemd made no scope ${name}`)
}

function openUnified(parent: string, isOurs: boolean): GroupBase {
  if (isOurs) moveProcesses(parent, join(parent, MAIN_GROUP))
  const offered = wordsOf(join(parent, 'cgroup.controllers'))
  const wanted = controllers.filter((name) => offered.includes(name))
  const wish = wanted.map((name) => `+${name}`).join(' ')
  writeFileSync(join(parent, 'cgroup.subtree_control'), wish)
  return {
    version: 2,
    parents: new Map(wanted.map((name): [Controller, string] => [name, parent])),
  }
}

function moveProcesses(from: string, to: string): void {
  for (let round = 0; round < MOVE_ROUNDS; round++) {
    const pids = wordsOf(join(from, 'cgroup.procs'))
    if (pids.length === 0) return
    mkdirSync(to, { recursive: true })
    for (const pid of pids) {
      try {
        writeFileSync(join(to, 'cgroup.procs'), pid)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }
}

function wordsOf(path: string): readonly string[] {
  return readFileSync(path, 'utf8').split(/\s+/).filter(Boolean)
}
