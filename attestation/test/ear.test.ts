// EAR output: what a relying party that knows only AR4SI is told about a document.

import { beforeAll, describe, expect, test } from 'vitest'
import { earClaims, earRefusal, signEar, type EarOptions } from '../src/ear/index.ts'
import { AttestationError, verifyAttestation, type VerifierOptions } from '../src/index.ts'
import { makeChain, makeDocument, NOW_MS, pcrHex, samplePcrs } from './issuer/document.ts'
import type { Chain } from './issuer/document.ts'

const options: EarOptions = {
  verifier: { developer: 'https://verifier.example', build: 'test 1' },
  policyIds: ['policy:1'],
  issuedAtMs: NOW_MS,
}

let chain: Chain
let hardware: Chain
beforeAll(async () => {
  chain = await makeChain()
  hardware = await makeChain('hardware-tpm')
})

async function attest(from: Chain, changes = {}, more: Partial<VerifierOptions> = {}) {
  const roots = [from.root.certificate] as const
  const document = await makeDocument(from, { nonce: new Uint8Array(32), ...changes })
  return verifyAttestation(document, { roots, at: new Date(NOW_MS), ...more })
}

const measurements = { PCR0: pcrHex(0) }

describe('earClaims', () => {
  test('affirm a hardware-backed enclave whose image was recognised', async () => {
    const claims = earClaims(await attest(hardware, {}, { measurements }), options)
    expect(claims).toMatchObject({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat: Math.floor(NOW_MS / 1000),
      ear_verifier_id: { developer: 'https://verifier.example', build: 'test 1' },
      eat_nonce: 'A'.repeat(43),
    })
    expect(claims.submods['nitro-enclave']).toMatchObject({
      ear_status: 'affirming',
      ear_trustworthiness_vector: {
        'instance-identity': 2,
        configuration: 2,
        executables: 2,
        hardware: 2,
      },
      ear_appraisal_policy_ids: ['policy:1'],
      ear_verifier_claims: { assurance: 'hardware-tpm', matched_pcrs: [0], tpm_evidence: false },
    })
  })

  test('affirm nothing as a whole when the image was not compared', async () => {
    const claims = earClaims(await attest(hardware), options)
    expect(claims.submods['nitro-enclave']?.ear_status).toBe('none')
  })

  test('warn about a software TPM', async () => {
    const claims = earClaims(await attest(chain, {}, { measurements }), options)
    expect(claims.submods['nitro-enclave']?.ear_status).toBe('warning')
  })

  test('contraindicate debug mode, although it was allowed', async () => {
    const pcrs = new Map([...samplePcrs(), [0, new Uint8Array(48)] as const])
    const attestation = await attest(hardware, { pcrs }, { allowDebug: true })
    const claims = earClaims(attestation, options)
    expect(claims.submods['nitro-enclave']?.ear_status).toBe('contraindicated')
  })

  test('end with the certificates, or earlier', async () => {
    const attestation = await attest(chain)
    const seconds = Math.floor(attestation.validUntilMs / 1000)
    expect(earClaims(attestation, options).exp).toBe(seconds)
    const short = earClaims(attestation, { ...options, lifetimeMs: 60_000 })
    expect(short.exp).toBe(Math.floor((NOW_MS + 60_000) / 1000))
  })

  test('leave out a nonce that EAT cannot carry', async () => {
    const claims = earClaims(await attest(chain, { nonce: new Uint8Array(5) }), options)
    expect(claims).not.toHaveProperty('eat_nonce')
  })
})

describe('earRefusal', () => {
  test('contraindicates the aspect that failed and names the code', () => {
    const aspects = {
      ERR_PCR_MISMATCH: { executables: 96 },
      ERR_DEBUG_DOCUMENT: { configuration: 96 },
      ERR_ASSURANCE: { hardware: 96 },
      ERR_COSE_SIGNATURE: { 'instance-identity': 99 },
    } as const
    for (const [code, vector] of Object.entries(aspects)) {
      const error = new AttestationError(code as keyof typeof aspects, 'refused')
      expect(earRefusal(error, options).submods['refused']).toEqual({
        ear_status: 'contraindicated',
        ear_trustworthiness_vector: vector,
        ear_appraisal_policy_ids: ['policy:1'],
        ear_verifier_claims: { error: code },
      })
    }
  })
})

describe('signEar', () => {
  for (const [namedCurve, alg, hash] of [
    ['P-256', 'ES256', 'SHA-256'],
    ['P-384', 'ES384', 'SHA-384'],
  ] as const) {
    test(`makes a JWT that verifies with ${alg}`, async () => {
      const algorithm = { name: 'ECDSA', namedCurve } as const
      const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
      const claims = earClaims(await attest(chain), options)
      const jwt = await signEar(claims, { key: keys.privateKey, keyId: 'k1' })
      const [header = '', payload = '', signature = ''] = jwt.split('.')
      expect(JSON.parse(fromBase64Url(header))).toEqual({ alg, typ: 'eat+jwt', kid: 'k1' })
      expect(JSON.parse(fromBase64Url(payload))).toEqual(JSON.parse(JSON.stringify(claims)))
      const bytes = Uint8Array.from(fromBase64Url(signature), (c) => c.charCodeAt(0))
      const signed = new TextEncoder().encode(`${header}.${payload}`)
      const verify = crypto.subtle.verify({ name: 'ECDSA', hash }, keys.publicKey, bytes, signed)
      expect(await verify).toBe(true)
    })
  }

  test('refuses a key of another algorithm with a TypeError', async () => {
    const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
    const claims = earClaims(await attest(chain), options)
    await expect(signEar(claims, { key })).rejects.toThrow(TypeError)
  })
})

function fromBase64Url(text: string): string {
  return atob(text.replaceAll('-', '+').replaceAll('_', '/'))
}
