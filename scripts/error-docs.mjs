// Writes docs/errors.md from the error tables; with --check only says whether it is current.

import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'
import { errorTable } from '../dist/error-table.js'

const FILE = 'docs/errors.md'

const rows = Object.entries(errorTable).map(([code, { nitro, nitroIn = {}, meaning, hint }]) => {
  const others = Object.entries(nitroIn).map(([command, n]) => `${numberText(n)} in ${command}`)
  const number = [numberText(nitro), ...others].join(', ')
  return `| \`${code}\` | ${number} | ${cell(meaning)} | ${cell(hint)} |`
})

function numberText(nitro) {
  return nitro === 0 ? 'none' : `E${String(nitro).padStart(2, '0')}`
}

function cell(text) {
  return text.replaceAll('|', '\\|')
}

const text = `# Errors

Every error has a code that never changes its meaning. \`cloister\` prints it with what failed and
what to do, behind nitro-cli's number where nitro-cli has the case. The exit status follows from the
number, as nitro-cli's does ([docs/nitro-cli.md](nitro-cli.md)): 2 for arguments that cannot be used, 39 for
what ends a start in \`run-enclave\`, else the number, and 1 where there is none.
Errors of the verifier are in [its own table](../attestation/docs/errors.md); none has a number.

| code | nitro-cli number | meaning | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`

const wanted = await format(text, {
  parser: 'markdown',
  semi: false,
  singleQuote: true,
  printWidth: 100,
})
if (process.argv[2] === '--check') {
  if (readFileSync(FILE, 'utf8') !== wanted) {
    console.error(`${FILE} is not current: run node scripts/error-docs.mjs`)
    process.exitCode = 1
  }
} else {
  writeFileSync(FILE, wanted)
}
