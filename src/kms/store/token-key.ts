// A master key that a PKCS#11 token has to make: what its AES-256 key makes (AES-CBC, IV 0) of a random salt, which the
// store keeps. Without the token nobody can make it, nor another store that the token would open.

import { randomBytes } from 'node:crypto'
import { openToken, type Token } from '../../pkcs11/index.ts'
import { check } from '../../errors.ts'
import type { Database } from './database.ts'
import { MasterKey } from './master-key.ts'
import { readMeta, writeMeta } from './meta-table.ts'
import { readSecretText } from '../private-file.ts'

/** A key on a token. */
export interface TokenSource {
  /** PKCS#11 URI (RFC 7512). */
  readonly pkcs11: string
  readonly pinFile?: string
}

const CODE = 'ERR_KMS_MASTER_KEY'
const NAME = 'token salt'
const SALT_BYTES = 32
const KEY_LENGTH = 'AES length 32'
const ENCRYPT = ['--encrypt', '--mechanism', 'AES-CBC', '--iv', '00'.repeat(16)]

/**
 * The master key of the store in a database; a new store gets its salt.
 * @throws ERR_KMS_MASTER_KEY
 */
export async function tokenSecret(database: Database, source: TokenSource): Promise<Uint8Array> {
  const token = await open(source)
  const salt = database.transaction(() => saltOf(database))
  const secret = await token.use(ENCRYPT, salt)
  const message = `the token answered with ${String(secret.length)} bytes, not ${String(SALT_BYTES)}`
  check(secret.length === SALT_BYTES, CODE, message)
  return secret
}

async function open({ pkcs11, pinFile }: TokenSource): Promise<Token> {
  const pin = pinFile === undefined ? undefined : readSecretText(pinFile, CODE)
  const token = await openToken(pkcs11, {
    ...{ kind: 'secrkey', pin, code: CODE, pinOption: '--pkcs11-pin-file' },
    isUnattended: true,
  })
  const message = `the key on the token is not of AES with 256 bits: ${token.description}`
  check(token.description === KEY_LENGTH, CODE, message, {
    hint: 'Make one: pkcs11-tool --module … --login --keygen --key-type AES:32 --label NAME --id 01.',
  })
  return token
}

function saltOf(database: Database): Uint8Array {
  const stored = readMeta(database, NAME)
  if (stored !== null) return stored
  check(!MasterKey.isBound(database), CODE, 'the master key of this store is not on a token', {
    hint: 'Give the option that the store was made with.',
  })
  const salt = randomBytes(SALT_BYTES)
  writeMeta(database, NAME, salt)
  return salt
}
