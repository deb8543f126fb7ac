// One chain and one ordinary document, made before the first test of the file that imports this, and
// documents that differ from it.

import { beforeAll } from 'vitest'
import { verifyAttestation, type Attestation, type VerifierOptions } from '../src/index.ts'
import type { Encodable } from './issuer/cbor-writer.ts'
import { makeChain, makeDocument, NOW_MS, type Chain } from './issuer/document.ts'

export const nonce = Uint8Array.of(1, 2, 3)
export const publicKey = Uint8Array.of(4)

export let chain: Chain
export let document: Uint8Array<ArrayBuffer>
/** The chain's root, at the time of the document. */
export let options: VerifierOptions

beforeAll(async () => {
  chain = await makeChain()
  document = await makeDocument(chain, { nonce, public_key: publicKey })
  options = { roots: [chain.root.certificate], at: new Date(NOW_MS) }
})

/** Verifies a document that differs from the ordinary one in these payload fields. */
export async function verifyChanged(
  changes: Readonly<Record<string, Encodable | undefined>>,
): Promise<Attestation> {
  return verifyAttestation(await makeDocument(chain, changes), options)
}
