// cloister explain: what an error means and what to do, by nitro-cli's number or by a code of ours or of
// the verifier's. On standard error, as nitro-cli does it.

import { errorTable as verifierTable } from '@cloister/attestation'
import { Command } from 'commander'
import { errorTable, type ErrorRow } from '../error-table.ts'
import { CloisterError } from '../errors.ts'
import { nitroErrors } from './nitro-errors.ts'
import { printProgress } from './print.ts'

const rows: readonly (readonly [string, ErrorRow])[] = Object.entries(errorTable)

export function explainCommand(): Command {
  return new Command('explain')
    .requiredOption('--error-code <code>', "nitro-cli's number, as E26, or a code, as ERR_EIF_CRC")
    .addHelpText('after', '\nExample:\n  cloister explain --error-code E26\n')
    .action(({ errorCode }: { readonly errorCode: string }) => {
      printProgress(explain(errorCode))
    })
}

/** @throws `ERR_CLI_ARGUMENT` for a code that does not exist. */
function explain(code: string): string {
  const [, digits] = /^E(\d{2})$/i.exec(code) ?? []
  const text = digits === undefined ? explainCode(code.toUpperCase()) : explainNumber(+digits)
  if (text !== undefined) return text
  throw new CloisterError('ERR_CLI_ARGUMENT', `there is no error ${code}`, {
    hint: `Give a number from E00 to E${String(nitroErrors.length - 1)}, or a code of docs/errors.md.`,
  })
}

function explainNumber(number: number): string | undefined {
  const error = nitroErrors[number]
  if (error === undefined) return undefined
  const ours = rows.filter(([, { nitro, nitroIn = {} }]) =>
    [nitro, ...Object.values(nitroIn)].includes(number),
  )
  const title = `${label(number)}${error.name}: ${error.meaning}.`
  // E00 says nothing, and no code of ours has it.
  if (number === 0 || ours.length === 0) return `${title}\nCloister gives this number to no error.`
  const lines = ours.flatMap(([code, row]) => [`${code}: ${row.meaning}`, `  ${row.hint}`])
  return [title, 'In Cloister it is one of these:', ...lines].join('\n')
}

function explainCode(code: string): string | undefined {
  const [, ours] = rows.find(([known]) => known === code) ?? []
  const row = ours ?? Object.entries(verifierTable).find(([known]) => known === code)?.[1]
  if (row === undefined) return undefined
  const number = ours?.nitro ?? 0
  return `${number === 0 ? '' : label(number)}${code}: ${row.meaning}\nWhat to do: ${row.hint}`
}

function label(number: number): string {
  return `[ E${String(number).padStart(2, '0')} ] `
}
