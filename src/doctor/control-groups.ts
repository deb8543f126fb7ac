// Whether enclaves get limits for memory, CPU and processes here.

import { planGroups } from '../cgroup/index.ts'
import { ok, type Finding } from './finding.ts'

/** A warning where they run without, because whatever limits this process then limits them. */
export async function checkControlGroups(): Promise<Finding> {
  const name = 'control groups'
  const plan = await planGroups()
  switch (plan.how) {
    case 'legacy':
      return ok(name, `version 1: ${[...new Set(plan.parents.values())].join(', ')}`)
    case 'unified':
      return ok(name, `version 2: ${plan.parent}`)
    case 'scope':
      return ok(name, `version 2: a scope from the ${plan.manager} manager of systemd`)
    case 'none': {
      const text = `enclaves run without limits for memory, CPU and processes: ${plan.reason}`
      return { name, status: 'warning', text, fix: plan.fix }
    }
  }
}
