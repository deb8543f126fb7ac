// Gives a key new material for encryption. Older material still decrypts what was encrypted with it.

import { randomBytes } from 'node:crypto'
import type { KeyRecord } from './store/key-table.ts'
import type { Store } from './store/store.ts'

export const DAY_MS = 24 * 3600 * 1000

/** Rotates a symmetric key in the transaction of the caller. */
export function rotateKey(
  store: Store,
  key: KeyRecord,
  { cause, nowMs }: { readonly cause: 'ON_DEMAND' | 'AUTOMATIC'; readonly nowMs: number },
): void {
  const number = store.materials.last(key.id) + 1
  store.materials.add(randomBytes(32), { keyId: key.id, number, createdMs: nowMs, cause })
  const { rotationDays, nextRotationMs } = key
  const isAutomatic = cause === 'AUTOMATIC' && rotationDays !== null
  store.keys.put({
    ...key,
    material: number,
    nextRotationMs: isAutomatic ? nowMs + rotationDays * DAY_MS : nextRotationMs,
  })
}
