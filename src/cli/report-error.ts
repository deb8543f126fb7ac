// An error for a person: nitro-cli's number, our code, what failed, with which values, because of
// what, and what to do. Messages and details quote guests, images and programs, so whatever follows
// a line break is marked: no text of theirs can pass for a line of ours. Imports little: it must work
// where the commands cannot be loaded.

import type { AttestationError } from '@cloister/attestation'
import { causeOf, toData } from '../error-data.ts'
import { errorTable } from '../error-table.ts'
import { CloisterError, messageOf, reasonOf } from '../errors.ts'
import { hostFault, shortageHint } from '../host-fault.ts'
import { outcomeOf } from './exit-status.ts'
import { printProgress } from './print.ts'
import { verifierAdvice } from './verifier-advice.ts'

/** What was thrown, as one of the errors that have a code and a hint. */
type CodedError = CloisterError | AttestationError

/** A value longer than this is cut short without --verbose. */
const MAX_VALUE = 600
/** The same of a text of several lines, such as the problems of a manifest. */
const MAX_LINES = 2400
const MAX_CAUSES = 8
const FOREIGN = '  | '

export interface ReportOptions {
  /** Every detail, and the stacks of the error and its causes. */
  readonly isVerbose: boolean
  /** The command that failed; undefined while its arguments were still being read. */
  readonly command: string | undefined
}

/** Prints to standard error and returns the exit status. */
export function reportError(error: unknown, { isVerbose, command }: ReportOptions): number {
  const coded = codedError(error)
  const { number, status } = outcomeOf(
    coded instanceof CloisterError ? coded.code : undefined,
    command,
  )
  for (const line of reportLines(coded, number, isVerbose)) printProgress(line)
  return status
}

function codedError(error: unknown): CodedError {
  if (error instanceof CloisterError || isAttestationError(error)) return error
  if (!(error instanceof Error)) return new CloisterError('ERR_INTERNAL', messageOf(error))
  if (isCommanderError(error))
    return new CloisterError('ERR_CLI_ARGUMENT', error.message.replace(/^error: /, ''))
  return hostFault(error) ?? new CloisterError('ERR_INTERNAL', error.message, { cause: error })
}

/** By its code: a bundler may rename classes. */
function isCommanderError(error: Error): boolean {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && code.startsWith('commander.')
}

function isAttestationError(error: unknown): error is AttestationError {
  return error instanceof Error && error.name === 'AttestationError'
}

function reportLines(error: CodedError, nitro: number, verbose: boolean): readonly string[] {
  const number = nitro === 0 ? '' : `[ E${String(nitro).padStart(2, '0')} ] `
  const said = [error.message]
  const details = verbose ? shownDetails(error, [], true) : shownDetails(error, said)
  return [
    marked(`${number}${error.code}: ${error.message}`),
    ...details,
    ...causeLines(error, said, verbose),
    ...(verbose ? [marked(`Stack:\n${error.stack ?? ''}`)] : []),
    `What to do: ${hintOf(error)}`,
  ]
}

/** The details that the message does not name already, one a line. */
function shownDetails(error: unknown, said: readonly string[], isWhole = false): readonly string[] {
  return Object.entries(toData(error).details ?? {}).flatMap(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    if (text === '' || text === 'null' || said.some((message) => message.includes(text))) return []
    const maxLength = text.includes('\n') ? MAX_LINES : MAX_VALUE
    const shown = isWhole || text.length <= maxLength ? text : `…${text.slice(-maxLength)}`
    return [marked(shown.includes('\n') ? `  ${key}:\n${shown}` : `  ${key}: ${shown}`)]
  })
}

function causeLines(error: CodedError, said: string[], verbose: boolean): readonly string[] {
  const lines: string[] = []
  let cause = causeOf(error)
  for (let n = 0; n < MAX_CAUSES && cause !== undefined; n++, cause = causeOf(cause)) {
    const { message, code, stack } = toData(cause)
    const words = reasonOf(cause)
    const isNew = !said.some((text) => text.includes(message) || text.includes(words))
    if (isNew || verbose) {
      // Of a system's error only its words: call and path may be those of a temporary file.
      const shown = verbose ? message : words
      const name = code === undefined || message.startsWith(code) ? '' : `${code}: `
      lines.push(marked(`Caused by: ${name}${shown}`))
      said.push(message)
      lines.push(...(verbose ? shownDetails(cause, [], true) : shownDetails(cause, said)))
    }
    if (verbose && stack !== undefined) lines.push(marked(`Stack:\n${stack}`))
  }
  return lines
}

/** An error's own advice; else what helps against the shortage that caused it; else the table's. */
function hintOf(error: CodedError): string {
  if (!(error instanceof CloisterError))
    return (verifierAdvice[error.code] ?? error.hint) || errorTable.ERR_INTERNAL.hint
  const isGeneral = error.hint === '' || error.hint === errorTable[error.code].hint
  return (
    (isGeneral ? shortageHint(error) : undefined) ?? (error.hint || errorTable.ERR_INTERNAL.hint)
  )
}

function marked(text: string): string {
  return text.trimEnd().replaceAll('\n', `\n${FOREIGN}`)
}
