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
    .argument('[code]', "nitro-cli's number, such as E26, or a code, such as ERR_EIF_CRC")
    .option('--error-code <code>', "the same, as nitro-cli's option")
    .addHelpText('after', '\nExamples:\n  cloister explain E26\n  cloister explain ERR_EIF_CRC\n')
    .action((code: string | undefined, { errorCode }: { readonly errorCode?: string }) => {
      printProgress(explain(onlyOne(code, errorCode)))
    })
}

function onlyOne(argument: string | undefined, option: string | undefined): string {
  const [code, ...others] = [argument, option].filter((it) => it !== undefined)
  if (code !== undefined && others.length === 0) return code
  const message = code === undefined ? 'no error code is given' : 'two error codes are given'
  throw new CloisterError('ERR_CLI_ARGUMENT', message, { hint: WHICH_CODES })
}

const WHICH_CODES = `Give a number from E00 to E${String(nitroErrors.length - 1)}, or a code from docs/errors.md: \`cloister explain E26\`. docs/kms-enclave.md has ERR_GUEST_KMS_*, and kms-client/README.md has ERR_KMS_CLIENT_*.`

/** @throws `ERR_CLI_ARGUMENT` for a code that does not exist. */
function explain(code: string): string {
  const [, digits] = /^E?(\d{1,2})$/i.exec(code) ?? []
  const text = digits === undefined ? explainCode(code.toUpperCase()) : explainNumber(+digits)
  if (text !== undefined) return text
  throw new CloisterError('ERR_CLI_ARGUMENT', `${code} is not an error code`, { hint: WHICH_CODES })
}

function explainNumber(number: number): string | undefined {
  const error = nitroErrors[number]
  if (error === undefined) return undefined
  const ours = rows.filter(([, { nitro, nitroIn = {} }]) =>
    [nitro, ...Object.values(nitroIn)].includes(number),
  )
  const title = `${label(number)}${error.name}: ${error.meaning}.`
  // E00 says nothing, and no code of ours has it.
  if (number === 0 || ours.length === 0) return `${title}\nCloister does not use this number.`
  const lines = ours.flatMap(([code, row]) => [`${code}: ${row.meaning}`, `  ${row.hint}`])
  return [title, 'In Cloister it is one of these errors:', ...lines].join('\n')
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
