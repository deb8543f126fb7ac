// A key in a TPM of the host: at a persistent handle (`handle:0x81000001`), or in a file that only this TPM
// can use (`TSS2 PRIVATE KEY`, ASN.1 Specification for TPM 2.0 Key Files), as tpm2_encodeobject and OpenSSL's
// TPM provider write it.

import forge from 'node-forge'

import {
  keyAtHandle,
  loadKey,
  openTpm,
  releaseKey,
  signDigest,
  type OpenTpm,
  type TpmSigningKey,
} from '../chip/index.ts'
import { CloisterError, check, messageOf } from '../errors.ts'
import type { KeyOptions, OpenKey } from './key-options.ts'

const HANDLE = /^handle:0x(81[0-9a-fA-F]{6})$/
const LABEL = 'TSS2 PRIVATE KEY'
/** Of keys that are loaded as they are; the other types are for import and for sealed data. */
const LOADABLE_KEY = '2.23.133.10.1.3'
/** Context tag [0]: whether the key has no password. tpm2_encodeobject gets it wrong, so it is not used. */
const EMPTY_AUTH: readonly number[] = [0]
const DEFAULT_TPM = '/dev/tpmrm0'

/** Whether the name of a key is a persistent handle; the number itself is not checked. */
export function isTpmHandle(name: string): boolean {
  return name.startsWith('handle:')
}

/** Whether a file has a PEM block labelled `TSS2 PRIVATE KEY`. */
export function isTpmKeyFile(file: Uint8Array): boolean {
  return Buffer.from(file).includes(`-----BEGIN ${LABEL}-----`)
}

/** @throws ERR_SIGNING_KEY */
export function openTpmHandle(name: string, options: KeyOptions): Promise<OpenKey> {
  const [, handle] = HANDLE.exec(name) ?? []
  check(handle !== undefined, 'ERR_SIGNING_KEY', `${name} is not a persistent handle`, {
    hint: 'Write handle:0x81000001, for example; `tpm2_getcap handles-persistent` lists them.',
  })
  return open(options, (tpm) => keyAtHandle(tpm, parseInt(handle, 16)))
}

/** @throws ERR_SIGNING_KEY */
export function openTpmKeyFile(pem: Uint8Array, options: KeyOptions): Promise<OpenKey> {
  const { parent, ...blobs } = parseKeyFile(pem)
  return open(options, (tpm) => loadKey(tpm, parent, blobs))
}

async function open(
  { tpm: path = DEFAULT_TPM, password = '' }: KeyOptions,
  load: (tpm: OpenTpm) => Promise<TpmSigningKey>,
): Promise<OpenKey> {
  const tpm = await coded(openTpm(path))
  try {
    const key = await coded(load(tpm))
    return {
      publicKey: key.publicKey,
      sign: (digest, { hash }) =>
        coded(signDigest(tpm, key, { digest, hash, password: Buffer.from(password) })),
      [Symbol.asyncDispose]: async () => {
        await coded(releaseKey(tpm, key)).finally(() => tpm[Symbol.asyncDispose]())
      },
    }
  } catch (error) {
    await tpm[Symbol.asyncDispose]()
    throw error
  }
}

/** TPMKey: `type OID, [0] emptyAuth, ..., parent INTEGER, pubkey and privkey OCTET STRING`. */
function parseKeyFile(pem: Uint8Array): {
  readonly parent: number
  readonly publicBlob: Uint8Array
  readonly privateBlob: Uint8Array
} {
  try {
    const [message] = forge.pem.decode(Buffer.from(pem).toString('latin1'))
    const { value } = forge.asn1.fromDer(message?.body ?? '')
    const items = typeof value === 'string' ? [] : value
    const [type, ...rest] = items
    const isLoadable = forge.asn1.derToOid(bytesOf(type)) === LOADABLE_KEY
    check(isLoadable, 'ERR_SIGNING_KEY', 'the TPM key file holds no loadable key')
    // The optional fields before the last three have tags of their own; a policy is not satisfied here.
    const tagged = rest.slice(0, -3)
    const isPlain = tagged.every((it) => EMPTY_AUTH.includes(it.type))
    check(isPlain, 'ERR_SIGNING_KEY', 'the TPM key file needs a policy, which is not supported')
    const [parent, publicBlob, privateBlob] = rest
      .slice(-3)
      .map((it) => Buffer.from(bytesOf(it), 'latin1'))
    check(
      parent !== undefined && publicBlob !== undefined && privateBlob !== undefined,
      'ERR_SIGNING_KEY',
      'the TPM key file is incomplete',
    )
    return { parent: Number(`0x${parent.toString('hex')}`), publicBlob, privateBlob }
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError('ERR_SIGNING_KEY', 'the TPM key file is malformed', { cause })
  }
}

/** The contents of a primitive item. */
function bytesOf(item: forge.asn1.Asn1 | undefined): string {
  return typeof item?.value === 'string' ? item.value : ''
}

async function coded<T>(operation: Promise<T>): Promise<T> {
  return operation.catch((cause: unknown) => {
    const message = `the TPM cannot use the key: ${messageOf(cause)}`
    throw new CloisterError('ERR_SIGNING_KEY', message, {
      cause,
      hint: 'Check --tpm, the handle or file, and the password of the key.',
    })
  })
}
