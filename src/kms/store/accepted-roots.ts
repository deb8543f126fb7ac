// The roots that the brokers of a store accept, as it remembers them: brokers with other ones would decide otherwise about
// the same keys.

import { CloisterError } from '../../errors.ts'
import type { Database } from './database.ts'
import type { MasterKey } from './master-key.ts'
import { readMeta, writeMeta } from './meta-table.ts'

const NAME = 'roots'
const MAC_BYTES = 32
/** Enough of a digest for a person to tell roots apart. */
const SHOWN_DIGITS = 16

/** SHA-256 of each root in hexadecimal digits, sorted; null when none was ever given. */
export function readRoots(database: Database, master: MasterKey): readonly string[] | null {
  const stored = readMeta(database, NAME)
  if (stored === null) return null
  const text = Buffer.from(stored.subarray(MAC_BYTES)).toString()
  master.checkRow('meta', [NAME, text], stored.subarray(0, MAC_BYTES))
  return text.split(' ')
}

/**
 * Remembers the first roots of a store, and checks that later ones are the same unless `isChange`. A broker without any
 * accepts no document, and contradicts none that does. Within a transaction: brokers may start at once.
 *
 * @throws ERR_KMS_ROOTS, ERR_KMS_STORE
 */
export function keepRoots(
  { database, master }: { readonly database: Database; readonly master: MasterKey },
  given: readonly string[],
  isChange: boolean,
): void {
  const roots = [...new Set(given)].toSorted()
  if (roots.length === 0) return
  const stored = readRoots(database, master)
  if (String(stored) === String(roots)) return
  if (stored !== null && !isChange) throw otherRoots(stored, roots)
  const text = roots.join(' ')
  const mac = master.sign('meta', [NAME, text])
  writeMeta(database, NAME, Buffer.concat([mac, Buffer.from(text)]))
}

function otherRoots(stored: readonly string[], given: readonly string[]): CloisterError {
  const message = `the brokers of this store accept documents under ${shown(stored)}, this one under ${shown(given)}`
  return new CloisterError('ERR_KMS_ROOTS', message, { details: { stored, given } })
}

function shown(roots: readonly string[]): string {
  const digests = roots.map((root) => `${root.slice(0, SHOWN_DIGITS)}…`)
  return `the ${digests.length === 1 ? 'root' : 'roots'} ${digests.join(' and ')}`
}
