// One key on a PKCS#11 token. OpenSC's pkcs11-tool talks to the token's module, in a process of its own: a vendor's
// library is never loaded into ours. The PIN goes through the environment, which other users cannot read.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, type ErrorCode } from '../errors.ts'
import { temporaryDirectory } from '../files/index.ts'
import { checkPinTries } from './pin-tries.ts'
import { listTokens, PIN_VARIABLE, runTool } from './tool.ts'
import { parsePkcs11Uri, type Pkcs11Uri } from './uri.ts'

/** Kinds of keys, by pkcs11-tool's names, and how its lists begin them. */
const KINDS = { privkey: 'Private Key Object', secrkey: 'Secret Key Object' } as const

export interface TokenOptions {
  readonly kind: keyof typeof KINDS
  readonly pin?: string | undefined
  /** Of every error. */
  readonly code: ErrorCode
  /** Where the PIN is given. */
  readonly pinOption: string
  /** Whether no person is there: then a PIN is not tried after a wrong one. */
  readonly isUnattended?: boolean
}

/** A key that was found on its token. */
export interface Token {
  /** The line in which the tool says what key it is, e.g. `AES length 32`. */
  readonly description: string
  /** Has the token do something with its key, e.g. `--sign`, and returns the result. */
  use(args: readonly string[], input: Uint8Array): Promise<Buffer>
}

/**
 * Finds the one key that a URI names.
 * @throws the code of the options
 */
export async function openToken(uri: string, options: TokenOptions): Promise<Token> {
  const { kind, pin, code, isUnattended = false } = options
  const parsed = parsePkcs11Uri(uri, options)
  const module = ['--module', parsed.modulePath]
  if (pin !== undefined) {
    const tokens = await listTokens(parsed, code)
    checkPinTries(tokens, parsed.token, { code, isUnattended })
  }
  const session = [
    ...module,
    ...(parsed.token === undefined ? [] : ['--token-label', parsed.token]),
    ...(pin === undefined ? [] : ['--login', '--pin', `env:${PIN_VARIABLE}`]),
  ]
  const run = (args: readonly string[]): Promise<Buffer> =>
    runTool([...session, ...args], { pin, code })
  const list = await run(['--list-objects', '--type', kind])
  const { id, description } = findKey(list.toString(), parsed, options)
  return {
    description,
    // The tool takes no label to name a key with.
    async use(args, input) {
      using directory = temporaryDirectory('token')
      const file = join(directory.path, 'input')
      await writeFile(file, input)
      return await run([...args, '--id', id, '--input-file', file])
    },
  }
}

interface ListedKey {
  readonly description: string
  readonly label: string
  readonly id: string
}

function findKey(list: string, { object, id }: Pkcs11Uri, { kind, code }: TokenOptions): ListedKey {
  const keys = list
    .split(new RegExp(`^${KINDS[kind]}`, 'm'))
    .slice(1)
    .map(keyOf)
  const found = keys
    .filter((key) => object === undefined || key.label === object)
    .filter((key) => id === undefined || key.id === id)
  const [key] = found
  const kindName = kind === 'privkey' ? 'private' : 'secret'
  check(
    key !== undefined && found.length === 1 && key.id !== '',
    code,
    `${String(found.length)} ${kindName} keys on the token match the PKCS#11 URI, one is needed`,
    { details: { keysOnToken: keys.length }, hint: 'Check token, object and id, and the PIN.' },
  )
  // The tool is told the id, and would take the first key with it.
  const sameId = keys.filter(({ id }) => id === key.id).length
  const message = `${String(sameId)} ${kindName} keys on the token have the id ${key.id}`
  check(sameId === 1, code, message, {
    hint: 'Give each key an id of its own: pkcs11-tool --login --type … --id … --set-id ….',
  })
  return key
}

function keyOf(text: string): ListedKey {
  return {
    description: /^; (.*)$/m.exec(text)?.[1] ?? '',
    label: /^ {2}label: +(.*)$/m.exec(text)?.[1] ?? '',
    id: /^ {2}ID: +([0-9a-f]+)$/m.exec(text)?.[1] ?? '',
  }
}
