// Verifies one document, and shows what a refusal looks like.

import { AttestationError, verifyAttestation } from '@cloister/attestation'
import { askEnclave, standInMeasurements, standInRoot } from './stand-in-enclave.ts'

const nonce = crypto.getRandomValues(new Uint8Array(32))
const document = await askEnclave({ nonce, userData: new TextEncoder().encode('hello') })

const attestation = await verifyAttestation(document, {
  roots: [standInRoot],
  measurements: standInMeasurements,
  nonce,
})
console.log('verified', attestation.moduleId, 'assurance', attestation.assurance)

try {
  const other = { ...standInMeasurements, PCR0: '00'.repeat(48) }
  await verifyAttestation(document, { roots: [standInRoot], measurements: other, nonce })
} catch (error) {
  if (!(error instanceof AttestationError)) throw error
  console.log('refused', error.code)
  console.log('hint:', error.hint)
}
