// Real documents of AWS, where they are to be had (see plugin.ts and aws/SOURCE.md), and AWS's root.

import documents from 'virtual:aws-documents'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes.ts'
import { decodeSign1 } from '../../src/cose/index.ts'
import { awsNitroRootG1, createVerifier, inspectAttestation } from '../../src/index.ts'
import { verifyAttestation, type VerifierOptions } from '../../src/index.ts'
import { parseCertificate } from '../../src/x509/index.ts'
import { expectCode } from '../expect-error.ts'
import { makeChain } from '../issuer/document.ts'

const ROOT_SHA256 = '641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b'

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

const options: VerifierOptions = { roots: [awsNitroRootG1], at: 'document', allowDebug: true }

describe('awsNitroRootG1', () => {
  test('is the certificate whose SHA-256 AWS publishes', async () => {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', awsNitroRootG1))
    expect(toHex(digest)).toBe(ROOT_SHA256)
  })

  test('parses as a CA that is valid until 2049', () => {
    const root = parseCertificate(awsNitroRootG1)
    expect(root.extensions.basicConstraints).toEqual({
      critical: true,
      ca: true,
      pathLength: undefined,
    })
    expect(new Date(root.notAfterMs).toISOString()).toBe('2049-10-28T14:28:05.000Z')
  })
})

describe('real AWS documents', () => {
  if (documents.length === 0) test.skip('are not on this machine')

  for (const { file, base64, timestampMs, expect: expected } of documents) {
    test(`${file} verifies at its own time and says what is known of it`, async () => {
      const attestation = await verifyAttestation(bytes(base64), options)
      expect(attestation).toMatchObject({ verified: true, assurance: 'aws-nitro', timestampMs })
      expect(attestation.moduleId).toBe(expected.moduleId)
      expect(attestation.debug).toBe(expected.debug)
      expect(Object.keys(attestation.pcrs)).toHaveLength(expected.pcrCount)
      for (const [index, value] of Object.entries(attestation.pcrs)) {
        expect(value).toBe(expected.pcrs[index] ?? '00'.repeat(48))
      }
      expect(attestation.certificates.map(({ der }) => der.length)).toEqual(
        expected.certificates.map(({ length }) => length),
      )
    })

    test(`${file} has the optional fields that are known of it`, () => {
      const { claims } = inspectAttestation(bytes(base64))
      for (const name of ['publicKey', 'userData', 'nonce'] as const) {
        expect(claims[name]?.length).toBe(expected[name]?.length)
        const hex = expected[name]?.hex
        if (hex !== undefined) expect(toHex(claims[name] ?? new Uint8Array())).toBe(hex)
      }
    })

    test(`${file} verifies at a date within its chain, also with a nonce from it`, async () => {
      const { nonce } = inspectAttestation(bytes(base64)).claims
      const at = new Date(timestampMs + 1000)
      const expectation = nonce ? { nonce } : {}
      await verifyAttestation(bytes(base64), { ...options, at, ...expectation })
    })

    test(`${file} is refused today`, async () => {
      const today = () => verifyAttestation(bytes(base64), { ...options, at: 'now' })
      await expectCode(today, 'ERR_CERTIFICATE_EXPIRED')
    })

    test(`${file} is refused with any other root`, async () => {
      const { root } = await makeChain()
      const other = () => verifyAttestation(bytes(base64), { ...options, roots: [root.certificate] })
      await expectCode(other, 'ERR_CHAIN_ROOT_UNTRUSTED')
    })

    test(`${file} without allowDebug is ${expected.debug ? 'refused' : 'accepted'}`, async () => {
      const strict = () => verifyAttestation(bytes(base64), { ...options, allowDebug: false })
      if (expected.debug) await expectCode(strict, 'ERR_DEBUG_DOCUMENT')
      else expect((await strict()).debug).toBe(false)
    })

    test(`${file} with any byte of its payload changed is refused`, async () => {
      const document = bytes(base64)
      const { payload } = decodeSign1(document)
      const verifier = createVerifier(options)
      for (let i = payload.byteOffset; i < payload.byteOffset + payload.length; i += 97) {
        const changed = document.slice()
        changed[i] = (changed[i] ?? 0) ^ 0x10
        await expect(verifier.verify(changed)).rejects.toMatchObject({ name: 'AttestationError' })
      }
    })
  }
})
