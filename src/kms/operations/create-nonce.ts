// CreateNonce, which AWS KMS does not have: a nonce that a document can contain, so that it counts once. Every known
// principal can ask for one; it only lets documents be refused that would be accepted otherwise.

import { base64, type Operation } from './call.ts'

const VALID_MS = 300_000

export const createNonce: Operation = {
  run({ fields, store, nowMs }) {
    fields.end()
    const validToMs = Math.floor(nowMs) + VALID_MS
    return { Nonce: base64(store.nonces.issue(validToMs)), ValidTo: validToMs / 1000 }
  },
}
