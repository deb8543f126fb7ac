// What the broker has beyond AWS KMS: Sign answers to a document.

import { createPublicKey, verify } from 'node:crypto'
import { GetPublicKeyCommand } from '@aws-sdk/client-kms'
import { expect, test } from 'vitest'
import { BrokerSuite, measured, policyFor } from '../../fixtures/kms/broker-suite.ts'
import { rawCall } from '../../fixtures/kms/raw-call.ts'

const suite = new BrokerSuite()
const Message = Buffer.from('to be signed').toString('base64')

test('Sign answers to a document, and to nothing else where the policy asks for one', async () => {
  const Policy = policyFor(measured, 'kms:Sign')
  const KeyId = await suite.newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', Policy })
  const input = { KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' }
  const document = await suite.platform.document(suite.rsa.spki)
  const Recipient = {
    AttestationDocument: Buffer.from(document).toString('base64'),
    KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
  }
  const answer = await rawCall(suite.broker, 'Sign', { ...input, Recipient })
  expect(answer).not.toHaveProperty('Signature')
  const signature = suite.open(Buffer.from(String(answer['CiphertextForRecipient']), 'base64'))
  const { PublicKey } = await suite.client('root').send(new GetPublicKeyCommand({ KeyId }))
  const key = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
  expect(verify('sha256', Buffer.from('to be signed'), key, signature)).toBe(true)
  expect(await rawCall(suite.broker, 'Sign', input)).toMatchObject({
    ...{ status: 400, __type: 'AccessDeniedException' },
  })
})
