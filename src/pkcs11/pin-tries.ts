// What a token says about the tries that its PIN has left (PKCS#11 section 3.2, CK_TOKEN_INFO), read before a PIN is tried:
// after too many wrong ones a token locks itself, or deletes its keys.

import { CloisterError, type ErrorCode } from '../errors.ts'

/** Flags by pkcs11-tool's names: CKF_USER_PIN_LOCKED, _FINAL_TRY, _COUNT_LOW. */
const LOCKED = 'user PIN locked'
const FINAL_TRY = 'final user PIN try'
const COUNT_LOW = 'user PIN count low'

export interface PinUse {
  readonly code: ErrorCode
  /** Whether nobody watches, so that a wrong PIN would be tried again and again. */
  readonly isUnattended: boolean
}

/**
 * @param list - The tokens, as `pkcs11-tool --list-token-slots` prints them.
 * @param token - The label of the one that gets the PIN; undefined for the first.
 * @throws the given code if the PIN must not be tried
 */
export function checkPinTries(
  list: string,
  token: string | undefined,
  { code, isUnattended }: PinUse,
): void {
  const refusal = refusalOf(flagsOf(list, token), isUnattended)
  if (refusal === undefined) return
  const [message, hint] = refusal
  throw new CloisterError(code, message, { hint })
}

const BY_HAND =
  'Correct the PIN. Then log in once by hand: pkcs11-tool --module … --token-label … --login --list-objects.'

function refusalOf(
  flags: ReadonlySet<string>,
  isUnattended: boolean,
): readonly [string, string] | undefined {
  if (flags.has(LOCKED))
    return ['the PIN of the PKCS#11 token is locked', 'Unlock it with the tool of its vendor.']
  if (flags.has(FINAL_TRY)) return ['the PIN of the PKCS#11 token has one try left', BY_HAND]
  if (isUnattended && flags.has(COUNT_LOW))
    return ['a wrong PIN was given to the PKCS#11 token since its last login', BY_HAND]
  return undefined
}

/** Whether a token with the label is in the list, or any token. */
export function isListed(list: string, token: string | undefined): boolean {
  return named(list, token).length > 0
}

/** Of all tokens with the label. */
function flagsOf(list: string, token: string | undefined): ReadonlySet<string> {
  return new Set(named(list, token).flatMap(({ flags = '' }) => flags.split(', ')))
}

interface ListedToken {
  readonly label: string | undefined
  readonly flags: string | undefined
}

function named(list: string, token: string | undefined): readonly ListedToken[] {
  const tokens = list
    .split(/^Slot /m)
    .map((text) => ({ label: fieldOf(text, 'label'), flags: fieldOf(text, 'flags') }))
    .filter(({ label }) => label !== undefined)
  return token === undefined ? tokens.slice(0, 1) : tokens.filter(({ label }) => label === token)
}

function fieldOf(text: string, name: string): string | undefined {
  return new RegExp(`^ {2}token ${name} +: (.*)$`, 'm').exec(text)?.[1]
}
