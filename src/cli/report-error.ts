// An error for a person: nitro-cli's number, our code, what failed, what to do.

import { AttestationError } from '@cloister/attestation'
import { CommanderError } from 'commander'
import { errorTable } from '../error-table.ts'
import { CloisterError, messageOf, nitroNumber } from '../errors.ts'
import { hostFault } from '../enclaves/index.ts'
import { printProgress } from './print.ts'

interface Report {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly exitStatus: number
  readonly nitro: number
}

/** Prints to standard error and returns the exit status: nitro-cli's number, else 1. */
export function reportError(error: unknown): number {
  const { code, message, hint, nitro, exitStatus } = reportOf(error)
  const number = nitro === 0 ? '' : `[ E${String(nitro).padStart(2, '0')} ] `
  printProgress(`${number}${code}: ${message}`)
  printProgress(`What to do: ${hint === '' ? errorTable.ERR_INTERNAL.hint : hint}`)
  return exitStatus
}

function reportOf(error: unknown): Report {
  if (error instanceof CommanderError) return ofArguments(error)
  if (error instanceof CloisterError) {
    const nitro = nitroNumber(error.code)
    return { ...pick(error), nitro, exitStatus: nitro === 0 ? 1 : nitro }
  }
  if (error instanceof AttestationError) return { ...pick(error), nitro: 0, exitStatus: 1 }
  const fault = hostFault(error)
  if (fault !== undefined) return reportOf(fault)
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  return {
    ...pick(new CloisterError('ERR_INTERNAL', `${messageOf(error)}\n${stack}`)),
    nitro: 0,
    exitStatus: 1,
  }
}

function pick(error: CloisterError | AttestationError): Pick<Report, 'code' | 'message' | 'hint'> {
  return { code: error.code, message: error.message, hint: error.hint }
}

function ofArguments(error: CommanderError): Report {
  const message = error.message.replace(/^error: /, '')
  return reportOf(new CloisterError('ERR_CLI_ARGUMENT', message))
}
