// A key on a PKCS#11 token, named by a URI (RFC 7512).

import { openToken } from '../pkcs11/index.ts'
import type { KeyOptions, OpenKey } from './key-options.ts'

const SIGN = ['--sign', '--mechanism', 'ECDSA', '--signature-format', 'rs']

/** @throws ERR_SIGNING_KEY */
export async function openPkcs11Key(uri: string, { password: pin }: KeyOptions): Promise<OpenKey> {
  const token = await openToken(uri, {
    ...{ kind: 'privkey', pin, code: 'ERR_SIGNING_KEY' },
    pinOption: '--private-key-password-file',
  })
  return { sign: async (digest) => await token.use(SIGN, digest) }
}
