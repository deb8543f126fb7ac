// The condition keys that `kms policy test` and the console know are those that requests carry: a key that is missing there is
// called one that no request has, and one too many hides that a condition never holds.

import { randomBytes } from 'node:crypto'
import {
  CreateAliasCommand,
  CreateGrantCommand,
  DecryptCommand,
  DeriveSharedSecretCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  PutKeyPolicyCommand,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  TagResourceCommand,
} from '@aws-sdk/client-kms'
import { decide } from '@cloister/attestation/policy'
import { expect, test, vi } from 'vitest'
import { isKnownKey, KNOWN_KEYS } from '../../../src/kms/access/known-keys.ts'
import { BrokerSuite, policyFor } from '../../fixtures/kms/broker-suite.ts'
import { importMaterial } from '../../fixtures/kms/import-material.ts'
import { ARNS, principals, REGION } from '../../fixtures/kms/running-broker.ts'

// What every decision is made of is looked at here; the decisions are the real ones.
vi.mock('@cloister/attestation/policy', { spy: true })

function people(): object {
  const { principals: list } = principals() as { principals: object[] }
  return { version: 1, principals: list.map((one) => ({ ...one, tags: { team: 'blue' } })) }
}

const options = { region: REGION, principals: people() }
const suite = new BrokerSuite(options)
const Tags = [{ TagKey: 'stage', TagValue: 'test' }]

async function useSymmetricKey(): Promise<void> {
  const [root, app] = [suite.client('root'), suite.client('app')]
  const KeyId = await suite.newKey({ Tags })
  await root.send(new CreateAliasCommand({ AliasName: 'alias/it', TargetKeyId: KeyId }))
  const EncryptionContext = { purpose: 'test' }
  const plain = { Plaintext: Buffer.from('x'), EncryptionContext }
  const { CiphertextBlob } = await app.send(new EncryptCommand({ KeyId: 'alias/it', ...plain }))
  const Recipient = await suite.recipient(undefined, { nonce: randomBytes(32) })
  await app.send(new DecryptCommand({ CiphertextBlob, EncryptionContext, Recipient }))
  const again = { CiphertextBlob, SourceEncryptionContext: EncryptionContext }
  await app.send(new ReEncryptCommand({ ...again, DestinationKeyId: KeyId }))
  const pair = { KeyId, KeyPairSpec: 'ECC_NIST_P256' } as const
  await app.send(new GenerateDataKeyPairWithoutPlaintextCommand(pair))
  const grant = { GranteePrincipal: ARNS.other, RetiringPrincipal: ARNS.app }
  const Constraints = { EncryptionContextSubset: EncryptionContext }
  const Operations = ['Decrypt'] as const
  await app.send(
    new CreateGrantCommand({ KeyId, ...grant, Operations: [...Operations], Constraints }),
  )
  await app.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }))
  await app.send(new PutKeyPolicyCommand({ KeyId, Policy: policyFor() }))
  await app.send(new TagResourceCommand({ KeyId, Tags }))
  await app.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
}

async function useOtherKeys(): Promise<void> {
  const app = suite.client('app')
  const ValidTo = new Date(Date.now() + 3_600_000)
  await importMaterial(app, await suite.newKey({ Origin: 'EXTERNAL' }), randomBytes(32), {
    ...{ ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo },
  })
  const ecc = { KeySpec: 'ECC_NIST_P256' } as const
  const signer = await suite.newKey({ ...ecc, KeyUsage: 'SIGN_VERIFY' })
  const Message = Buffer.from('x')
  await app.send(new SignCommand({ KeyId: signer, Message, SigningAlgorithm: 'ECDSA_SHA_256' }))
  const mac = await suite.newKey({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
  await app.send(new GenerateMacCommand({ KeyId: mac, Message, MacAlgorithm: 'HMAC_SHA_256' }))
  const KeyId = await suite.newKey({ ...ecc, KeyUsage: 'KEY_AGREEMENT' })
  const { PublicKey } = await app.send(new GetPublicKeyCommand({ KeyId }))
  const agreement = { KeyId, PublicKey, KeyAgreementAlgorithm: 'ECDH' } as const
  await app.send(new DeriveSharedSecretCommand(agreement))
}

/** The keys of all questions so far. */
function carried(): readonly string[] {
  const contexts = vi.mocked(decide).mock.calls.map(([request]) => Object.keys(request.context))
  return [...new Set(contexts.flat())].toSorted()
}

test('every key that a request carries is known, and every known key is carried by a request', async () => {
  await useSymmetricKey()
  await useOtherKeys()
  const keys = carried()
  expect(keys.filter((key) => !isKnownKey(key.toLowerCase()))).toEqual([])
  expect(KNOWN_KEYS.filter((key) => !keys.includes(key))).toEqual([])
  expect(keys.filter((key) => !KNOWN_KEYS.includes(key) && !/PCR\d+$/.test(key))).toEqual([
    ...['aws:PrincipalTag/team', 'aws:RequestTag/stage', 'aws:ResourceTag/stage'],
    'kms:EncryptionContext:purpose',
  ])
})
