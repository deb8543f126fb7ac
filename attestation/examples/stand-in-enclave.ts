// Stands in for an enclave, so that the examples run anywhere: a throwaway authority, host chip and
// leaf with ordinary keys. In an enclave the document comes from /dev/nsm, and the root is
// `awsNitroRootG1` or that of your Cloister authority.

import { issue } from '../test/issuer/authority.ts'
import { chipShape, leafShape, makeDocument, pcrHex, rootShape } from '../test/issuer/document.ts'

const DAY_MS = 86_400_000
const now = Math.floor(Date.now() / 1000) * 1000
const validity = { notBeforeMs: now - 3000, notAfterMs: now + DAY_MS }

const root = await issue({ ...rootShape(), ...validity })
const chip = await issue({ ...chipShape(), ...validity }, root)
const leaf = await issue({ ...leafShape(), ...validity }, chip)

/** DER of the root to trust. */
export const standInRoot: Uint8Array = root.certificate

/** What the build of the stand-in's image printed. */
export const standInMeasurements = { PCR0: pcrHex(0), PCR1: pcrHex(1), PCR2: pcrHex(2) }

/** Asks for a document, as an application in the enclave asks its NSM. */
export async function askEnclave(request: {
  readonly nonce?: Uint8Array
  readonly publicKey?: Uint8Array
  readonly userData?: Uint8Array
}): Promise<Uint8Array> {
  const { nonce = null, publicKey = null, userData = null } = request
  const fields = { nonce, public_key: publicKey, user_data: userData, timestamp: Date.now() }
  return makeDocument({ root, chip, leaf }, fields)
}
