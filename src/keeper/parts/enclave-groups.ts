// The control groups of one enclave: one for QEMU, which is the guest's size, and one for all that runs
// beside it. The host chip's TPM belongs to the host and is in neither.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import {
  ControlGroup,
  openGroupBase,
  otherLimits,
  qemuLimits,
  type GroupBase,
  type GroupLimits,
  type Unlimited,
} from '../../cgroup/index.ts'
import type { CgroupUse, GroupFacts, LaunchDescription, LimitFacts } from '../../enclaves/index.ts'
import { CloisterError, reasonOf } from '../../errors.ts'
import { confine, together, type Confinement, type Lifetime } from '../../subprocess/index.ts'
import type { Journal } from '../journal.ts'
import type { PartUsers } from './part-users.ts'

/** Limited to their groups, or not at all. */
export interface EnclaveGroups {
  readonly users: PartUsers
  /** For the record. */
  readonly facts: LimitFacts
  /** Where QEMU is, and where the other parts are. */
  readonly qemu?: ControlGroup
  readonly others?: ControlGroup
}

export interface GroupsRequest {
  readonly description: LaunchDescription
  readonly id: string
  readonly users: PartUsers
  readonly journal: Journal
  readonly lifetime: Lifetime
  /** Called with what is about to be made. */
  readonly noteLimits: (facts: LimitFacts) => void
}

/**
 * Makes the groups of an enclave where this host lets us.
 *
 * @throws `ERR_KEEPER_CGROUP` where it does not and the limits were required.
 */
export async function makeEnclaveGroups(request: GroupsRequest): Promise<EnclaveGroups> {
  const { description } = request
  const base = await baseFor(description.cgroup)
  return 'parents' in base ? limited(request, base) : unlimited(request, base)
}

function unlimited(request: GroupsRequest, why: Unlimited): EnclaveGroups {
  const { description, users, journal } = request
  if (description.cgroup === 'required') throw refused(why)
  journal.write(`no limits for memory, CPU and processes: ${why.reason}`)
  return { users, facts: { missing: why.reason } }
}

async function makeGroups(
  qemu: ControlGroup,
  others: ControlGroup,
  lifetime: Lifetime,
): Promise<void> {
  for (const group of [qemu, others]) {
    group.make()
    await lifetime.own(group)
  }
  await together(tryGroup(qemu), tryGroup(others))
}

/** A first process in it shows that it can be joined. */
async function tryGroup({ directories }: ControlGroup): Promise<void> {
  const [program = '', ...args] = confine(['true'], { controlGroups: directories })
  await promisify(execFile)(program, args)
}

async function limited(request: GroupsRequest, base: GroupBase): Promise<EnclaveGroups> {
  const { description, id, users, lifetime } = request
  const group = (part: string, limits: GroupLimits): ControlGroup =>
    new ControlGroup(base, `cloister-${id}-${part}`, limits)
  const qemu = group('qemu', qemuLimits(description))
  const others = group('others', otherLimits)
  const facts = { version: base.version, qemu: factsOf(qemu), others: factsOf(others) }
  request.noteLimits(facts)
  try {
    await makeGroups(qemu, others, lifetime)
  } catch (error) {
    if (error instanceof CloisterError) throw error
    return unlimited(request, {
      reason: reasonOf(error),
      fix: 'Run `cloister doctor`, or start with --cgroup off.',
    })
  }
  return { users: joining(users, { qemu, others }), facts, qemu, others }
}

/** A keeper has one place for its groups, whichever enclave it keeps. */
let found: Promise<GroupBase | Unlimited> | undefined

function baseFor(use: CgroupUse | undefined): Promise<GroupBase | Unlimited> {
  if (use === 'off') return Promise.resolve({ reason: 'turned off by --cgroup off', fix: '' })
  found ??= openGroupBase()
  return found
}

function refused({ reason, fix }: Unlimited): CloisterError {
  const message = `control groups are required but unavailable: ${reason}`
  return new CloisterError('ERR_KEEPER_CGROUP', message, { details: { reason }, hint: fix })
}

function factsOf({ limits, directories }: ControlGroup): GroupFacts {
  return { ...limits, directories }
}

function joining(
  users: PartUsers,
  groups: { readonly qemu: ControlGroup; readonly others: ControlGroup },
): PartUsers {
  const into = (user: Confinement, group: ControlGroup): Confinement => ({
    ...user,
    controlGroups: group.directories,
  })
  return {
    chip: users.chip,
    qemu: into(users.qemu, groups.qemu),
    swtpm: into(users.swtpm, groups.others),
    vsockCard: into(users.vsockCard, groups.others),
    nsmCard: into(users.nsmCard, groups.others),
    networkCard: into(users.networkCard, groups.others),
  }
}
