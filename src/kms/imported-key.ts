// Imports material into keys, and deletes it. A key can be used only while all the material that it has used is
// there.

import type { KeyMaterial } from './crypto/key-material.ts'
import { KmsError } from './kms-error.ts'
import type { KeyRecord } from './store/key-table.ts'
import type { MaterialRecord } from './store/material-table.ts'
import type { Store } from './store/store.ts'

/** Material that is to go into a key. */
export interface Import {
  readonly material: KeyMaterial
  readonly nowMs: number
  readonly validToMs: number | null
  readonly description: string
  /** The id that the material must have, where the request says it. */
  readonly materialId: string | undefined
  /** Whether it is to be rotated to, and not a material that the key has had. */
  readonly isNew: boolean
}

/**
 * Puts material into a key of origin EXTERNAL, in the transaction of the caller; its id.
 * @throws KmsError IncorrectKeyMaterialException, KMSInvalidStateException.
 */
export function importMaterial(store: Store, key: KeyRecord, given: Import): string {
  const { material, isNew, materialId } = given
  const id = store.materials.idOf(key.id, material.secret)
  const last = store.materials.last(key.id)
  const known = store.materials.withId(key.id, id)
  if (materialId !== undefined && materialId !== id)
    throw incorrect('The key material does not match KeyMaterialId.')
  if (last > 0 && isNew) checkNew(key, { last, known })
  else if (last > 0 && known === undefined)
    throw incorrect(
      'The key material differs from the material that was imported into this key before.',
    )
  const number = known?.number ?? last + 1
  const { validToMs, description, nowMs } = given
  const createdMs = known?.createdMs ?? nowMs
  const cause = known?.cause ?? 'IMPORTED'
  const text = description || (known?.description ?? '')
  store.materials.add(material.secret, {
    ...{ keyId: key.id, number, createdMs, cause, validToMs, description: text },
  })
  putState(store, { ...key, material: Math.max(key.material, 1), publicKey: material.publicKey })
  return id
}

/** Deletes material; its row stays if the key has used it. */
export function deleteMaterial(store: Store, key: KeyRecord, material: MaterialRecord): void {
  if (material.number > key.material) store.materials.remove(key.id, material.number)
  else store.materials.put({ ...material, wrapped: null, validToMs: null })
  putState(store, key)
}

function checkNew(
  key: KeyRecord,
  { last, known }: { readonly last: number; readonly known: MaterialRecord | undefined },
): void {
  if (key.spec !== 'SYMMETRIC_DEFAULT')
    throw new KmsError(
      'UnsupportedOperationException',
      `ImportType NEW_KEY_MATERIAL: only symmetric encryption keys can be rotated`,
    )
  if (known !== undefined) throw incorrect('The key already has this key material.')
  if (key.pendingImport || last > key.material)
    throw new KmsError(
      'KMSInvalidStateException',
      'Import the missing key material, or rotate to the pending one, before importing new key material.',
    )
}

function putState(store: Store, key: KeyRecord): void {
  const used = store.materials.list(key.id, 0, key.material)
  const pendingImport = used.some(({ wrapped }) => wrapped === null)
  // A key that waited is enabled by what it waited for.
  const enabled = key.enabled || (key.pendingImport && !pendingImport)
  store.keys.put({ ...key, pendingImport, enabled })
}

function incorrect(message: string): KmsError {
  return new KmsError('IncorrectKeyMaterialException', message)
}
