// Control groups: where they can be made on this host, and an enclave's with their limits.

export { openGroupBase, type Unlimited } from './base.ts'
export { ControlGroup, removeGroups, type GroupBase, type OutOfMemory } from './group.ts'
export { parseHierarchies } from './hierarchy.ts'
export { otherLimits, qemuLimits, type GroupLimits } from './limits.ts'
export { planGroups, type GroupPlan } from './plan.ts'
