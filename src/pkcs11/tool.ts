// Runs pkcs11-tool of OpenSC. A token can be missing for a moment: SoftHSM writes the token's file anew at each login, and
// whoever reads it meanwhile sees a token without a label. No PIN is tried then, so it is looked for again.

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { CloisterError, type ErrorCode } from '../errors.ts'
import { isListed } from './pin-tries.ts'
import type { Pkcs11Uri } from './uri.ts'

export const PIN_VARIABLE = 'CLOISTER_PKCS11_PIN'

const TOOL = 'pkcs11-tool'
const TIMEOUT_MS = 60_000
/** Of what the tool says, in an error. */
const MAX_SAID = 600
const MAX_LOOKS = 10
const LOOK_PAUSE_MS = 100
const NO_TOKEN = /^No slot with token named /m

interface ToolOptions {
  readonly pin?: string | undefined
  readonly code: ErrorCode
}

/** What the tool says, and why it failed if it did. */
interface Said {
  readonly stdout: Buffer
  readonly stderr: string
  readonly failure: CloisterError | undefined
}

/**
 * What the tool writes to its standard output.
 * @throws the given code
 */
export async function runTool(args: readonly string[], options: ToolOptions): Promise<Buffer> {
  const isTokenThere = ({ stderr }: Said): boolean => !NO_TOKEN.test(stderr)
  return resultOf(await lookUntil(isTokenThere, () => run(args, options)))
}

/**
 * The tokens of the module, as the tool lists them.
 * @throws the given code, also if the token of the URI is not among them
 */
export async function listTokens(uri: Pkcs11Uri, code: ErrorCode): Promise<string> {
  const list = ['--module', uri.modulePath, '--list-token-slots']
  const isDone = ({ stdout, failure }: Said): boolean =>
    failure !== undefined || isListed(stdout.toString(), uri.token)
  const tokens = resultOf(await lookUntil(isDone, () => run(list, { code }))).toString()
  if (isListed(tokens, uri.token)) return tokens
  const name = uri.token === undefined ? 'no token' : `no token with the label ${uri.token}`
  throw new CloisterError(code, `the PKCS#11 module has ${name}`, {
    hint: `Run \`${TOOL} --module ${uri.modulePath} --list-token-slots\` as the same user: it lists the tokens.`,
  })
}

/** The last answer, which is a right one unless all were wrong. */
async function lookUntil(
  isDone: (said: Said) => boolean,
  look: () => Promise<Said>,
): Promise<Said> {
  let said = await look()
  for (let looks = 1; looks < MAX_LOOKS && !isDone(said); looks++) {
    await sleep(LOOK_PAUSE_MS)
    said = await look()
  }
  return said
}

function resultOf({ stdout, failure }: Said): Buffer {
  if (failure !== undefined) throw failure
  return stdout
}

function run(args: readonly string[], { pin, code }: ToolOptions): Promise<Said> {
  const env = { ...process.env, LC_ALL: 'C', ...(pin !== undefined && { [PIN_VARIABLE]: pin }) }
  const options = { env, timeout: TIMEOUT_MS, encoding: 'buffer' } as const
  return new Promise((resolve) => {
    execFile(TOOL, args, options, (error, stdout, bytes) => {
      const stderr = bytes.toString()
      const failure = error === null ? undefined : failureOf(error, stderr, code)
      resolve({ stdout, stderr, failure })
    })
  })
}

function failureOf(
  cause: Error & { readonly code?: string | number | null },
  said: string,
  code: ErrorCode,
): CloisterError {
  if (cause.code === 'ENOENT')
    return new CloisterError(code, `${TOOL} is missing`, {
      hint: 'Install OpenSC: `apt-get install opensc`.',
      cause,
    })
  const message = 'the PKCS#11 token refused to use its key'
  return new CloisterError(code, message, { details: { said: said.slice(-MAX_SAID) } })
}
