// Decisions on requests whose answer follows from what AWS publishes, each with the page it follows from.

import { CONDITION_DECISIONS } from './condition-decisions.ts'
import type { DecisionCase } from './decision-case.ts'
import { STATEMENT_DECISIONS } from './statement-decisions.ts'

/** Every decision of the table. */
export const DECISIONS: readonly DecisionCase[] = [...CONDITION_DECISIONS, ...STATEMENT_DECISIONS]
