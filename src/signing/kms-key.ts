// A key in AWS KMS, or in a service with its interface. The SDK finds credentials, profile and
// AWS_ENDPOINT_URL_KMS as all of AWS's tools do; it is loaded when a key is named by an ARN alone.

import { createPublicKey } from 'node:crypto'

import type { SigningAlgorithm } from '../eif/index.ts'
import { CloisterError, check, reasonOf } from '../errors.ts'
import type { KeyOptions, OpenKey } from './key-options.ts'

/** nitro-cli's, of image crate 0.8.1. */
const KEY_ARN = /^arn:aws(?:[-a-z]+)?:kms:([a-z0-9-]+):\d{12}:key[:/][a-zA-Z0-9-]+$/
const SIGNING_ALGORITHMS = {
  sha256: 'ECDSA_SHA_256',
  sha384: 'ECDSA_SHA_384',
  sha512: 'ECDSA_SHA_512',
} as const satisfies Record<SigningAlgorithm['hash'], string>
const TIMEOUTS = { connectionTimeout: 10_000, requestTimeout: 30_000 } as const

/** Whether the name of a key is an ARN, and so that of a key in KMS. */
export function isArn(name: string): boolean {
  return name.startsWith('arn:')
}

/** @throws ERR_SIGNING_KEY */
export async function openKmsKey(arn: string, { kmsEndpoint }: KeyOptions): Promise<OpenKey> {
  const [, region] = KEY_ARN.exec(arn) ?? []
  check(region !== undefined, 'ERR_SIGNING_KEY', `${arn} is not the ARN of a KMS key`, {
    hint: 'Write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias has no key policy of its own and is not accepted.',
  })
  // Its announcement that a later version will want a later Node is not for our users.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true'
  const { KMSClient, GetPublicKeyCommand, SignCommand } = await import('@aws-sdk/client-kms')
  const client = new KMSClient({
    region,
    requestHandler: TIMEOUTS,
    ...(kmsEndpoint !== undefined && { endpoint: kmsEndpoint }),
  })
  const asked = async <T>(what: string, answer: Promise<T>): Promise<T> =>
    answer.catch((cause: unknown) => {
      const message = `KMS ${what} failed: ${reasonOf(cause)}`
      throw new CloisterError('ERR_SIGNING_KEY', message, { details: { arn }, cause })
    })
  const KeyId = arn
  const { PublicKey } = await asked('GetPublicKey', client.send(new GetPublicKeyCommand({ KeyId })))
  return {
    publicKey: parsePublicKey(PublicKey),
    sign: async (Message, { hash }) => {
      const SigningAlgorithm = SIGNING_ALGORITHMS[hash]
      const request = { KeyId, Message, MessageType: 'DIGEST', SigningAlgorithm } as const
      const { Signature } = await asked('Sign', client.send(new SignCommand(request)))
      check(Signature !== undefined, 'ERR_SIGNING_KEY', 'KMS Sign returned no signature')
      return Signature
    },
    [Symbol.asyncDispose]: () => {
      client.destroy()
      return Promise.resolve()
    },
  }
}

function parsePublicKey(spki: Uint8Array | undefined): ReturnType<typeof createPublicKey> {
  try {
    return createPublicKey({ key: Buffer.from(spki ?? []), format: 'der', type: 'spki' })
  } catch (cause) {
    const message = 'KMS GetPublicKey returned no public key'
    throw new CloisterError('ERR_SIGNING_KEY', message, { cause })
  }
}
