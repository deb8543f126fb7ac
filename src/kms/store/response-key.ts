// The key that signs responses: ECDSA on P-384. It is made with the store, wrapped by the master key, and stays the same
// as long as the store, also in its backups: clients have its public part.

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import { CloisterError } from '../../errors.ts'
import type { Database } from './database.ts'
import type { MasterKey } from './master-key.ts'
import { readMeta, writeMeta } from './meta-table.ts'

const NAME = 'response key'
const signAsync = promisify(sign)

export class ResponseKey {
  readonly #key: KeyObject
  /** PEM of its SubjectPublicKeyInfo. */
  readonly publicKey: string

  private constructor(pkcs8: Buffer) {
    this.#key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    this.publicKey = createPublicKey(this.#key).export({ type: 'spki', format: 'pem' }).toString()
  }

  /**
   * The key of a store, which is made on first use. Within a transaction.
   * @throws ERR_KMS_STORE
   */
  static open(database: Database, master: MasterKey): ResponseKey {
    const stored = readMeta(database, NAME)
    if (stored !== null) return new ResponseKey(unwrapped(stored, master))
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
    writeMeta(database, NAME, master.wrap(pkcs8, NAME))
    return new ResponseKey(pkcs8)
  }

  /** `r || s`, 96 bytes, over the SHA-384 of the text. */
  async sign(text: Uint8Array): Promise<Uint8Array> {
    return await signAsync('sha384', text, { key: this.#key, dsaEncoding: 'ieee-p1363' })
  }
}

function unwrapped(stored: Uint8Array, master: MasterKey): Buffer {
  try {
    return Buffer.from(master.unwrap(stored, NAME))
  } catch (cause) {
    const message = 'the key that signs responses was changed by another program'
    throw new CloisterError('ERR_KMS_STORE', message, { cause })
  }
}
