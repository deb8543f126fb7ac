// Project Wycheproof's ECDSA P-384 SHA-384 vectors, through the same code that checks COSE messages
// (r || s) and certificates (DER).

import { describe, expect, test } from 'vitest'
import { fromHex } from '../../src/bytes.ts'
import { AttestationError } from '../../src/index.ts'
import { verifySignature } from '../../src/signature/verify-signature.ts'
import { decodeEcdsaSignature } from '../../src/x509/ecdsa-signature.ts'

interface Group {
  readonly publicKey: { readonly uncompressed: string }
  readonly tests: readonly {
    readonly tcId: number
    readonly msg: string
    readonly sig: string
    readonly result: 'valid' | 'invalid'
  }[]
}

const files = import.meta.glob<{ readonly testGroups: readonly Group[] }>('./wycheproof/*.json', {
  eager: true,
  import: 'default',
})
const decoders = {
  './wycheproof/ecdsa_secp384r1_sha384_p1363_test.json': (signature: Uint8Array) => signature,
  './wycheproof/ecdsa_secp384r1_sha384_test.json': decodeEcdsaSignature,
}

/** Whether a signature is accepted; a coded error is a refusal. */
async function accepts(
  { publicKey }: Group,
  { msg, sig }: Group['tests'][number],
  decode: (signature: Uint8Array) => Uint8Array,
): Promise<boolean> {
  try {
    const signed = {
      publicKey: fromHex(publicKey.uncompressed),
      message: fromHex(msg),
      signature: decode(fromHex(sig)),
    }
    return await verifySignature(signed, crypto)
  } catch (error) {
    expect(error).toBeInstanceOf(AttestationError)
    return false
  }
}

describe('Wycheproof ECDSA P-384 SHA-384', () => {
  for (const [file, decode] of Object.entries(decoders)) {
    const groups = files[file]?.testGroups ?? []
    const cases = groups.flatMap((group) => group.tests.map((vector) => ({ group, vector })))
    test(`agrees with all ${cases.length} results of ${file}`, async () => {
      expect(cases.length).toBeGreaterThan(200)
      const wrong: number[] = []
      for (const { group, vector } of cases) {
        const accepted = await accepts(group, vector, decode)
        if (accepted !== (vector.result === 'valid')) wrong.push(vector.tcId)
      }
      expect(wrong).toEqual([])
    })
  }
})
