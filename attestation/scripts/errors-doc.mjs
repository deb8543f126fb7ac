// Writes docs/errors.md from the error table: `node attestation/scripts/errors-doc.mjs`, after a
// build. A test compares the file with the table.

import { writeFileSync } from 'node:fs'

/** The text of docs/errors.md: one table per domain, in the order of the error table. */
export function renderErrors(table) {
  const domains = groupBy(Object.keys(table), domainOf)
  const sections = [...domains].map(([domain, codes]) => section(domain, codes, table))
  return `# Errors of @cloister/attestation

Generated from \`src/error-table.ts\`. Every refusal is an \`AttestationError\` with one of these codes. The same document and options always give the same code. \`details\` holds the values involved, \`hint\` the advice below, \`cause\` an underlying error. Mistakes of the calling program (a misspelt option, no roots) are \`TypeError\` and \`RangeError\` instead.

${sections.join('\n\n')}
`
}

function groupBy(items, keyOf) {
  const groups = new Map()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

const domainOf = (code) => code.split('_')[1]

function section(domain, codes, table) {
  const rows = codes.map((code) => `| \`${code}\` | ${table[code].meaning} | ${table[code].hint} |`)
  return [`## ERR_${domain}`, '', '| code | meaning | what to do |', '|---|---|---|', ...rows].join(
    '\n',
  )
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const { errorTable } = await import('../dist/index.js')
  writeFileSync(new URL('../docs/errors.md', import.meta.url), renderErrors(errorTable))
}
