// A master key that a TPM keeps: 32 random bytes, sealed to it, in a file beside the store. The file also names the
// counter by which an older copy of the store is detected (rollback.ts).

import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import {
  defineNewCounter,
  sealData,
  undefineCounter,
  unsealData,
  type StorageTpm,
} from '../../chip/index.ts'
import { check, CloisterError, messageOf } from '../../errors.ts'
import { readInputFile } from '../../files/index.ts'
import { checkPrivate } from '../private-file.ts'
import { parseStrictJson } from '../strict-json.ts'

/** A master key, and the counter that goes with it. */
export interface SealedKey {
  readonly secret: Uint8Array
  /** NV index. */
  readonly counter: number
}

const CODE = 'ERR_KMS_MASTER_KEY'
const KEY_BYTES = 32
const MAX_BYTES = 8192
const BASE64 = /^[A-Za-z0-9+/]{1,4000}={0,2}$/

/** Where the sealed master key of a store is. */
export function sealedKeyPath(directory: string): string {
  return join(directory, 'master.sealed')
}

/**
 * The master key that the TPM has unsealed.
 * @throws ERR_KMS_MASTER_KEY, ERR_CHIP_*
 */
export async function unsealKey(directory: string, tpm: StorageTpm): Promise<SealedKey> {
  const path = sealedKeyPath(directory)
  check(
    existsSync(path),
    CODE,
    `${path} is missing: no master key of this store is sealed to a TPM`,
    {
      hint: 'Give the passphrase or key file that the store was made with, or restore a backup with --master-key-tpm.',
    },
  )
  const { counter, ...sealed } = readSealed(path)
  try {
    return { secret: await tpm((channel) => unsealData(channel, sealed)), counter }
  } catch (cause) {
    if (!(cause instanceof CloisterError) || cause.code !== 'ERR_CHIP_TPM_RC') throw cause
    const message = `the TPM cannot unseal the master key of the store: ${messageOf(cause)}`
    throw new CloisterError(CODE, message, {
      cause,
      hint: 'Another TPM sealed it, or this one was cleared. Restore a backup with --master-key-tpm.',
    })
  }
}

/** Seals a master key, a new one unless it is given, and defines its counter. */
export async function sealKey(
  directory: string,
  tpm: StorageTpm,
  secret: Uint8Array = randomBytes(KEY_BYTES),
): Promise<SealedKey> {
  return await tpm(async (channel) => {
    const { publicBlob, privateBlob } = await sealData(channel, secret)
    const counter = await defineNewCounter(channel)
    try {
      const text = { version: 1, public: base64(publicBlob), private: base64(privateBlob), counter }
      writeWhole(sealedKeyPath(directory), `${JSON.stringify(text)}\n`)
    } catch (error) {
      await undefineCounter(channel, counter)
      throw error
    }
    return { secret, counter }
  })
}

/** Undoes {@link sealKey} for a store that is not made after all. */
export async function forgetKey(
  directory: string,
  tpm: StorageTpm,
  { counter }: SealedKey,
): Promise<void> {
  rmSync(sealedKeyPath(directory), { force: true })
  await tpm((channel) => undefineCounter(channel, counter))
}

function readSealed(path: string): {
  readonly publicBlob: Uint8Array
  readonly privateBlob: Uint8Array
  readonly counter: number
} {
  const hint = `Run \`chmod 600 ${path}\` as its owner, who is the broker's user or root.`
  const bytes = readInputFile(path, {
    ...{ code: CODE, maxBytes: MAX_BYTES },
    inspect: (status) => checkPrivate(status, path, { code: CODE, hint }),
  })
  const fields = parseStrictJson(bytes, CODE, path) as Readonly<Record<string, unknown>> | null
  const { version, public: publicText, private: privateText, counter } = fields ?? {}
  const isText = (value: unknown): value is string =>
    typeof value === 'string' && BASE64.test(value)
  const right =
    version === 1 && isText(publicText) && isText(privateText) && Number.isInteger(counter)
  if (!right) throw new CloisterError(CODE, `${path} is not what Cloister wrote`)
  return {
    publicBlob: Buffer.from(publicText, 'base64'),
    privateBlob: Buffer.from(privateText, 'base64'),
    counter: Number(counter),
  }
}

/** On the disk when it returns; a file that was there is replaced. */
function writeWhole(path: string, text: string): void {
  const partial = `${path}.new`
  const file = openSync(partial, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(partial, path)
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
