// A key on a PKCS#11 token, named by a URI (RFC 7512). OpenSC's pkcs11-tool talks to the token's module, in
// a process of its own: a vendor's library is never loaded into ours. The PIN goes through the
// environment, which other users cannot read.

import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { CloisterError, check } from '../errors.ts'
import { temporaryDirectory } from '../files/index.ts'
import type { KeyOptions, OpenKey } from './key-options.ts'

const SCHEME = 'pkcs11:'
const SUPPORTED = ['token', 'object', 'id', 'type', 'module-path']
const TOOL = 'pkcs11-tool'
const PIN_VARIABLE = 'CLOISTER_PKCS11_PIN'
const TIMEOUT_MS = 60_000
/** Of what the tool says, in an error. */
const MAX_SAID = 600

/** Whether the name of a key is a PKCS#11 URI (RFC 7512); only its scheme is checked. */
export function isPkcs11Uri(name: string): boolean {
  return name.startsWith(SCHEME)
}

/** @throws ERR_SIGNING_KEY */
export async function openPkcs11Key(uri: string, { password: pin }: KeyOptions): Promise<OpenKey> {
  const attributes = parseUri(uri)
  const [modulePath, token] = ['module-path', 'token'].map((name) => attributes.get(name))
  check(modulePath !== undefined, 'ERR_SIGNING_KEY', 'the PKCS#11 URI names no module', {
    hint: 'Append ?module-path=/path/of/the/library.so to the URI.',
  })
  const session = [
    ...['--module', modulePath],
    ...(token === undefined ? [] : ['--token-label', token]),
    ...(pin === undefined ? [] : ['--login', '--pin', `env:${PIN_VARIABLE}`]),
  ]
  const list = await run([...session, '--list-objects', '--type', 'privkey'], pin)
  // The tool takes no label to sign with.
  const id = idOfKey(list, attributes)
  const mechanism = ['--sign', '--mechanism', 'ECDSA', '--signature-format', 'rs', '--id', id]
  return {
    sign: async (digest) => {
      using directory = temporaryDirectory('token')
      const [input, output] = [join(directory.path, 'digest'), join(directory.path, 'signature')]
      await writeFile(input, digest)
      await run([...session, ...mechanism, '--input-file', input, '--output-file', output], pin)
      return await readFile(output)
    },
  }
}

/** The id, in hexadecimal, of the one private key of a token's list that the URI names. */
function idOfKey(list: string, attributes: ReadonlyMap<string, string>): string {
  const label = attributes.get('object')
  const wanted = attributes.get('id')
  check(label !== undefined || wanted !== undefined, 'ERR_SIGNING_KEY', NO_KEY, {
    hint: 'Give object=LABEL or id=%01 in the URI.',
  })
  const keys = list.split(/^Private Key Object/m).slice(1)
  const found = keys
    .map((text) => ({
      label: /^ {2}label: +(.*)$/m.exec(text)?.[1] ?? '',
      id: /^ {2}ID: +([0-9a-f]+)$/m.exec(text)?.[1] ?? '',
    }))
    .filter((key) => label === undefined || key.label === label)
    .filter((key) => wanted === undefined || key.id === hexOfId(wanted))
  const [key] = found
  check(
    key !== undefined && found.length === 1 && key.id !== '',
    'ERR_SIGNING_KEY',
    `${String(found.length)} private keys on the token match the PKCS#11 URI, one is needed`,
    { details: { keysOnToken: keys.length }, hint: 'Check token, object and id, and the PIN.' },
  )
  return key.id
}

const NO_KEY = 'the PKCS#11 URI names no key'

/** The attributes of the path and of the query, decoded. */
function parseUri(uri: string): ReadonlyMap<string, string> {
  const pairs = uri
    .slice(SCHEME.length)
    .split(/[;?&]/)
    .filter((pair) => pair !== '')
  try {
    return new Map(
      pairs.map((pair) => {
        const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
        // Never shown: it may be a PIN.
        check(
          SUPPORTED.includes(name),
          'ERR_SIGNING_KEY',
          `the PKCS#11 URI has ${name || 'a malformed part'}`,
          {
            hint: `Supported are ${SUPPORTED.join(', ')}; a PIN comes from --private-key-password-file.`,
          },
        )
        // An id is bytes: kept as it is.
        return [name, name === 'id' ? value : decodeURIComponent(value)]
      }),
    )
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    throw new CloisterError('ERR_SIGNING_KEY', 'the PKCS#11 URI is malformed', { cause })
  }
}

function hexOfId(id: string): string {
  const bytes = id.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('hex')
}

/** What the tool prints. */
function run(args: readonly string[], pin: string | undefined): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', ...(pin !== undefined && { [PIN_VARIABLE]: pin }) }
  return new Promise((resolve, reject) => {
    execFile(TOOL, args, { env, timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(failure(error, `${stdout}${stderr}`))
    })
  })
}

function failure(
  cause: Error & { readonly code?: string | number | null },
  said: string,
): CloisterError {
  if (cause.code === 'ENOENT')
    return new CloisterError('ERR_SIGNING_KEY', `${TOOL} is missing`, {
      hint: 'Install OpenSC: `apt-get install opensc`.',
      cause,
    })
  const message = 'the PKCS#11 token did not sign'
  return new CloisterError('ERR_SIGNING_KEY', message, { details: { said: said.slice(-MAX_SAID) } })
}
