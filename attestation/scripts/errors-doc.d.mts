import type { ErrorRow } from '../src/index.ts'

export function renderErrors(table: Readonly<Record<string, ErrorRow>>): string
