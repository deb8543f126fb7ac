// Verifies by a policy file and reports the result as a signed EAR.

import { earClaims, signEar } from '@cloister/attestation/ear'
import { createPolicyVerifier } from '@cloister/attestation/policy'
import { askEnclave, standInMeasurements, standInRoot } from './stand-in-enclave.ts'

const base64 = Buffer.from(standInRoot).toString('base64')
const policy = {
  version: 1,
  roots: [`-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`],
  measurements: standInMeasurements,
  conditions: {
    StringEqualsIgnoreCase: { 'kms:RecipientAttestation:ImageSha384': standInMeasurements.PCR0 },
  },
}

const nonce = crypto.getRandomValues(new Uint8Array(32))
const attestation = await createPolicyVerifier(policy).verify(await askEnclave({ nonce }), {
  nonce,
})

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const
const { privateKey } = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
const claims = earClaims(attestation, {
  verifier: { developer: 'https://verifier.example', build: 'example 1' },
})
console.log(JSON.stringify(claims.submods, null, 2))
console.log('jwt of', (await signEar(claims, { key: privateKey })).length, 'characters')
