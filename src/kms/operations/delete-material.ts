// DeleteImportedKeyMaterial: the key cannot be used until the same material is imported again.
// @see https://docs.aws.amazon.com/kms/latest/APIReference/API_DeleteImportedKeyMaterial.html

import { deleteMaterial } from '../imported-key.ts'
import { notFound, keyArn, MAX_KEY_ID } from './key-names.ts'
import type { Operation } from './call.ts'
import { checkImported, checkState } from './key-state.ts'

export const deleteImportedKeyMaterial: Operation = {
  run(call) {
    const { fields, place, store } = call
    const keyId = fields.requiredText('KeyId', MAX_KEY_ID)
    const materialId = fields.text('KeyMaterialId', 64, /^[a-f0-9]{64}$/)
    fields.end()
    const found = call.key(keyId, false)
    call.authorizeKey('kms:DeleteImportedKeyMaterial', found)
    checkImported(found, place)
    checkState(found, place, ['Enabled', 'Disabled', 'PendingImport'])
    const { key } = found
    const material =
      materialId === undefined
        ? store.materials.find(key.id, key.material)
        : store.materials.withId(key.id, materialId)
    if (materialId !== undefined && material === undefined)
      throw notFound(`Key material ${materialId} of ${keyArn(key.id, place)} does not exist`)
    if (material !== undefined) deleteMaterial(store, key, material)
    return {
      KeyId: keyArn(key.id, place),
      ...(material === undefined ? {} : { KeyMaterialId: material.id }),
    }
  },
  afterwards: ({ store }) => {
    store.forgetDeleted()
  },
}
