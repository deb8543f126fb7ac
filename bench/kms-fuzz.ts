// Fuzz mode of the key broker's parsers: requests, policies and ciphertexts that are almost right. Each input is accepted or
// refused with one of the declared errors; anything else ends the run with the input.

import { randomBytes, randomInt } from 'node:crypto'
import { AttestationError, parseKeyPolicy } from '@cloister/attestation/policy'
import { CloisterError } from '../src/errors.ts'
import { parseAuthorization } from '../src/kms/auth/authorization.ts'
import { parsePresigned } from '../src/kms/auth/presigned.ts'
import { openBlob, readBlob, sealBlob } from '../src/kms/crypto/ciphertext-blob.ts'
import { Fields } from '../src/kms/fields.ts'
import { KmsError } from '../src/kms/kms-error.ts'
import { readTags } from '../src/kms/operations/tags.ts'
import { parseStrictJson } from '../src/kms/strict-json.ts'

const KEY = { keyId: '0'.repeat(8) + '-0000-4000-8000-000000000000', context: { stage: 'prod' } }
const MATERIAL = Buffer.alloc(32, 7)

const BODY = JSON.stringify({
  ...{ KeyId: 'alias/a', CiphertextBlob: 'AAAA', GrantTokens: ['a'], DryRun: false, Days: 7 },
  Tags: [{ TagKey: 'stage', TagValue: 'prod' }],
  ...{ EncryptionContext: { a: 'b' }, Recipient: { AttestationDocument: 'AQID' } },
})
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      ...{ Sid: 'a', Effect: 'Allow', Principal: { AWS: ['arn:aws:iam::111122223333:root'] } },
      ...{ Action: ['kms:De*', 'kms:Sign'], Resource: '*' },
      Condition: {
        'ForAnyValue:StringLikeIfExists': { 'kms:EncryptionContext:a': ['x*', '${aws:username}'] },
        IpAddress: { 'aws:SourceIp': '10.0.0.0/8' },
        NumericLessThan: { 'cloister:RecipientAttestation:AgeSeconds': '60' },
        DateGreaterThan: { 'aws:CurrentTime': '2026-01-01T00:00:00Z' },
      },
    },
  ],
})
const AUTHORIZATION = `AWS4-HMAC-SHA256 Credential=AKIATESTAPP000000000/20261126/eu-central-1/kms/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=${'ab'.repeat(32)}`
const QUERY = `/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIATESTAPP000000000%2F20261126%2Feu-central-1%2Fkms%2Faws4_request&X-Amz-Date=20261126T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=${'ab'.repeat(32)}`

interface Target {
  readonly seed: Uint8Array
  readonly parse: (input: Buffer) => unknown
}

const TARGETS: readonly Target[] = [
  { seed: Buffer.from(BODY), parse: readRequest },
  { seed: Buffer.from(POLICY), parse: readPolicy },
  {
    seed: sealBlob(Buffer.from('plaintext'), { ...KEY, material: MATERIAL, number: 1 }),
    parse(input) {
      readBlob(input)
      openBlob(input, { ...KEY, material: MATERIAL })
    },
  },
  { seed: Buffer.from(AUTHORIZATION), parse: (input) => parseAuthorization(input.toString()) },
  { seed: Buffer.from(QUERY), parse: (input) => parsePresigned(input.toString()) },
]

/** Runs `count` inputs; throws with the first that is neither accepted nor refused. */
export function fuzzKms(count: number): void {
  for (let done = 0; done < count; done++) {
    const { seed, parse } = TARGETS[done % TARGETS.length] ?? { seed: Buffer.of(), parse: readBlob }
    const input = mutated(seed)
    try {
      parse(input)
    } catch (error) {
      const isDeclared =
        error instanceof KmsError ||
        error instanceof CloisterError ||
        error instanceof AttestationError
      if (!isDeclared) throw new Error(`input ${input.toString('base64')}`, { cause: error })
    }
  }
}

function readRequest(input: Buffer): void {
  const fields = new Fields(parseStrictJson(input, 'ERR_KMS_REQUEST', 'the request'))
  fields.requiredText('KeyId', 2048)
  fields.blob('CiphertextBlob', 6144)
  fields.texts('GrantTokens', { most: 10, longest: 8192 })
  fields.flag('DryRun')
  fields.integer('Days', 1, 30)
  readTags(fields)
  fields.context('EncryptionContext')
  fields.structure('Recipient')?.blob('AttestationDocument', 262_144)
  fields.end()
}

function readPolicy(input: Buffer): void {
  parseKeyPolicy(parseStrictJson(input, 'ERR_KMS_REQUEST', 'the policy'))
}

/** One to four changes: a byte, a run of bytes removed, repeated or replaced by noise. */
function mutated(seed: Uint8Array): Buffer {
  let bytes = Buffer.from(seed)
  for (let changes = 1 + randomInt(4); changes > 0; changes--) {
    const at = randomInt(bytes.length + 1)
    const end = Math.min(bytes.length, at + randomInt(16))
    const [head, run, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)]
    const middle = [Buffer.of(), Buffer.concat([run, run]), randomBytes(run.length + 1)]
    bytes = Buffer.concat([head, middle[randomInt(3)] ?? run, tail])
  }
  return bytes
}
