import { resolve } from 'node:path'

/** The checkout, seen from `test/lab` and from `build/lab`. */
export const repository = resolve(import.meta.dirname, '../..')
