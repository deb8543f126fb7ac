// URIs of keys on PKCS#11 tokens (RFC 7512): the attributes that pkcs11-tool can use. A PIN in the URI is refused.

import { check, CloisterError, type ErrorCode } from '../errors.ts'

const SCHEME = 'pkcs11:'
const SUPPORTED = ['token', 'object', 'id', 'type', 'module-path']

/** What a URI says of a token and a key on it. */
export interface Pkcs11Uri {
  readonly modulePath: string
  /** The token's label. */
  readonly token?: string
  /** The key's label. */
  readonly object?: string
  /** The key's id, in hexadecimal. */
  readonly id?: string
}

/** Whether the name of a key is a PKCS#11 URI; only its scheme is checked. */
export function isPkcs11Uri(name: string): boolean {
  return name.startsWith(SCHEME)
}

/**
 * @param pinOption - Where a PIN is given instead, for the advice.
 * @throws the given code
 */
export function parsePkcs11Uri(
  uri: string,
  { code, pinOption }: { readonly code: ErrorCode; readonly pinOption: string },
): Pkcs11Uri {
  const hint = `Supported are ${SUPPORTED.join(', ')}; a PIN comes from ${pinOption}.`
  const attributes = attributesOf(uri, { code, hint })
  const [modulePath, token] = [attributes.get('module-path'), attributes.get('token')]
  check(modulePath !== undefined, code, 'the PKCS#11 URI names no module', {
    hint: 'Append ?module-path=/path/of/the/library.so to the URI.',
  })
  const [object, id] = [attributes.get('object'), attributes.get('id')]
  check(object !== undefined || id !== undefined, code, 'the PKCS#11 URI names no key', {
    hint: 'Give object=LABEL or id=%01 in the URI.',
  })
  return {
    modulePath,
    ...(token === undefined ? {} : { token }),
    ...(object === undefined ? {} : { object }),
    ...(id === undefined ? {} : { id: hexOfId(id) }),
  }
}

/** The attributes of the path and of the query, decoded. */
function attributesOf(
  uri: string,
  { code, hint }: { readonly code: ErrorCode; readonly hint: string },
): ReadonlyMap<string, string> {
  const text = isPkcs11Uri(uri) ? uri.slice(SCHEME.length) : uri
  const pairs = text.split(/[;?&]/).filter((pair) => pair !== '')
  try {
    return new Map(
      pairs.map((pair) => {
        const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
        // The value is never shown: it may be a PIN.
        const message = `the PKCS#11 URI has ${name || 'a malformed part'}`
        check(SUPPORTED.includes(name), code, message, { hint })
        // An id is bytes: kept as it is.
        return [name, name === 'id' ? value : decodeURIComponent(value)]
      }),
    )
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError(code, 'the PKCS#11 URI is malformed', { cause })
  }
}

function hexOfId(id: string): string {
  const bytes = id.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('hex')
}
