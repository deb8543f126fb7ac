// Writes docs/errors.md from the error tables; with --check only says whether it is current.

import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'
import { errorTable } from '../dist/error-table.js'

const FILE = 'docs/errors.md'

const rows = Object.entries(errorTable).map(([code, { nitro, meaning, hint }]) => {
  const status = nitro === 0 ? '1' : `E${String(nitro).padStart(2, '0')} (${nitro})`
  return `| \`${code}\` | ${status} | ${cell(meaning)} | ${cell(hint)} |`
})

function cell(text) {
  return text.replaceAll('|', '\\|')
}

const text = `# Errors

Every error has a code that never changes its meaning. \`cloister\` prints it with what failed and
what to do, and exits with nitro-cli's error number where nitro-cli has the case, else with 1.
Errors of the verifier are in [its own table](../attestation/docs/errors.md).

| code | nitro-cli number (exit status) | meaning | what to do |
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
