// The master key: from a passphrase (scrypt, RFC 7914), a file of 32 bytes, or a TPM (sealed-key.ts). It wraps key
// material (AES-256-GCM) and authenticates rows (HMAC-SHA-256), under two keys derived with HKDF (RFC 5869). So
// a store without it gives no key away, and a row that somebody else changed is noticed. For an older copy of the
// whole store see rollback.ts.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto'
import { check, CloisterError } from '../../errors.ts'
import { readInputFile } from '../../files/index.ts'
import { checkPrivate } from '../private-file.ts'
import type { Database, Value } from './database.ts'
import { readMeta, writeMeta } from './meta-table.ts'

/** Where the master key comes from: a file that the operator made, or the secret that a TPM unsealed. */
export type MasterSecret =
  | { readonly passphraseFile: string }
  | { readonly keyFile: string }
  | { readonly secret: Uint8Array }

const CODE = 'ERR_KMS_MASTER_KEY'
const KEY_BYTES = 32
const MIN_PASSPHRASE = 12
const IV_BYTES = 12
const TAG_BYTES = 16
/** 64 MiB and about a quarter of a second, once for each start. */
const SCRYPT = { N: 2 ** 16, r: 8, p: 1, maxmem: 2 ** 27 } as const
const SALT_BYTES = 16
const CHECK = 'cloister kms'
/** The binding of a master key in a backup. */
const BACKUP = 'backup'

/** Encrypts key material and authenticates the rows of one store. */
export class MasterKey {
  readonly #wrapping: Uint8Array
  readonly #signing: Uint8Array

  private constructor(secret: Uint8Array) {
    const derive = (purpose: string): Uint8Array =>
      new Uint8Array(hkdfSync('sha256', secret, '', `cloister-kms ${purpose} v1`, KEY_BYTES))
    this.#wrapping = derive('wrap')
    this.#signing = derive('rows')
  }

  /**
   * The master key of a store, which is bound to it on first use.
   * @throws ERR_KMS_MASTER_KEY when it cannot be read, or is not the one of this store
   */
  static open(database: Database, source: MasterSecret): MasterKey {
    const key = new MasterKey(readSecret(database, source))
    const stored = readMeta(database, 'check')
    if (stored === null) {
      writeMeta(database, 'check', key.wrap(Buffer.from(CHECK), 'check'))
      return key
    }
    check(key.#opens(stored), CODE, 'this is not the master key of the store', {
      details: { store: database.name },
    })
    return key
  }

  /** The master key itself, to be moved elsewhere. */
  static secretOf(database: Database, source: MasterSecret): Uint8Array {
    return readSecret(database, source)
  }

  /** Whether a store already has a master key. */
  static isBound(database: Database): boolean {
    return readMeta(database, 'check') !== null
  }

  /** The secret of another store's key, wrapped by a passphrase. */
  static wrapSecret(secret: Uint8Array, passphraseFile: string): Uint8Array {
    const salt = randomBytes(SALT_BYTES)
    const key = new MasterKey(scryptOf(readPassphrase(passphraseFile), salt))
    return Buffer.concat([salt, key.wrap(secret, BACKUP)])
  }

  /** @throws ERR_KMS_MASTER_KEY when the passphrase is another one */
  static unwrapSecret(wrapped: Uint8Array, passphraseFile: string): Uint8Array {
    const salt = wrapped.subarray(0, SALT_BYTES)
    const key = new MasterKey(scryptOf(readPassphrase(passphraseFile), salt))
    try {
      return key.unwrap(wrapped.subarray(SALT_BYTES), BACKUP)
    } catch (cause) {
      const message = `the passphrase in ${passphraseFile} is not the one of the backup`
      throw new CloisterError(CODE, message, { cause })
    }
  }

  /** IV, ciphertext and tag; `binding` must be given again to unwrap. */
  wrap(secret: Uint8Array, binding: string): Uint8Array {
    const iv = randomBytes(IV_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#wrapping, iv).setAAD(Buffer.from(binding))
    return Buffer.concat([iv, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
  }

  /** @throws when it was not wrapped by this key for this binding */
  unwrap(wrapped: Uint8Array, binding: string): Uint8Array {
    const iv = wrapped.subarray(0, IV_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', this.#wrapping, iv, {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(Buffer.from(binding)).setAuthTag(wrapped.subarray(-TAG_BYTES))
    return Buffer.concat([
      decipher.update(wrapped.subarray(IV_BYTES, -TAG_BYTES)),
      decipher.final(),
    ])
  }

  /** The MAC of a row: its table and its columns, each with its length. */
  sign(table: string, columns: readonly Value[]): Uint8Array {
    const mac = createHmac('sha256', this.#signing)
    for (const column of [table, ...columns]) {
      if (column === null) {
        mac.update('-:')
        continue
      }
      const bytes = column instanceof Uint8Array ? column : Buffer.from(String(column))
      mac.update(`${String(bytes.length)}:`).update(bytes)
    }
    return mac.digest()
  }

  /** @throws ERR_KMS_STORE when the row is not as this broker wrote it */
  checkRow(table: string, columns: readonly Value[], mac: Uint8Array): void {
    const expected = this.sign(table, columns)
    const right = mac.length === expected.length && timingSafeEqual(mac, expected)
    check(right, 'ERR_KMS_STORE', `a row of ${table} was changed by another program`)
  }

  #opens(stored: Uint8Array): boolean {
    try {
      return Buffer.from(this.unwrap(stored, 'check')).toString() === CHECK
    } catch {
      return false
    }
  }
}

function readSecret(database: Database, source: MasterSecret): Uint8Array {
  if ('secret' in source) return source.secret
  if ('keyFile' in source) return keyOf(readPrivate(source.keyFile), source.keyFile)
  const passphrase = readPassphrase(source.passphraseFile)
  let salt = readMeta(database, 'salt')
  if (salt === null) {
    salt = randomBytes(SALT_BYTES)
    writeMeta(database, 'salt', salt)
  }
  return scryptOf(passphrase, salt)
}

function readPassphrase(path: string): string {
  const passphrase = readPrivate(path)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  const message = `the passphrase in ${path} has fewer than ${String(MIN_PASSPHRASE)} characters`
  check(passphrase.length >= MIN_PASSPHRASE, CODE, message, {
    hint: `Choose a passphrase of at least ${String(MIN_PASSPHRASE)} characters for a new store.`,
  })
  return passphrase
}

function scryptOf(passphrase: string, salt: Uint8Array): Uint8Array {
  return scryptSync(passphrase, salt, KEY_BYTES, SCRYPT)
}

function keyOf(bytes: Buffer, path: string): Uint8Array {
  if (bytes.length === KEY_BYTES) return bytes
  const text = bytes.toString('latin1').trim()
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  throw new CloisterError(CODE, `${path} holds neither 32 bytes nor 64 hexadecimal digits`)
}

function readPrivate(path: string): Buffer {
  const hint = `Run \`chmod 600 ${path}\` as its owner, who is the broker's user or root. Keep the file: no other opens this store. If others may have read it, move to a new store with a new one.`
  return readInputFile(path, {
    ...{ code: CODE, maxBytes: 4096 },
    inspect: (status) => checkPrivate(status, path, { code: CODE, hint }),
  })
}
