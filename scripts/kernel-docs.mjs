// Writes the table of facilities in docs/kernel.md; with --check only says whether it is current.

import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'

const FILE = 'docs/kernel.md'
const LIST = 'enclave-images/kernel/facilities.json'
const [BEGIN, END] = ['<!-- facilities -->', '<!-- end of facilities -->']

const facilities = JSON.parse(readFileSync(LIST, 'utf8'))
const groups = byGroup(facilities)

function byGroup(rows) {
  const result = new Map()
  for (const row of rows) result.set(row.group, [...(result.get(row.group) ?? []), row])
  return result
}

function mark(value) {
  return value ? 'yes' : 'no'
}

function row({ facility, options, aws, standard, minimal, reason, needs }) {
  const remarks = [reason, needs && `Needs ${needs}.`].filter(Boolean).join(' ')
  const names = options.map((option) => `\`${option}\``).join(' ')
  const cells = [facility, mark(aws), mark(standard), mark(minimal), remarks, names]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

const tables = [...groups].map(
  ([group, rows]) => `### ${group}

| facility | AWS | standard | minimal | remarks | options |
| --- | --- | --- | --- | --- | --- |
${rows.map(row).join('\n')}
`,
)

const text = readFileSync(FILE, 'utf8')
const [head, rest] = text.split(BEGIN)
const tail = rest.split(END)[1]
const wanted = await format(`${head}${BEGIN}\n\n${tables.join('\n')}\n${END}${tail}`, {
  parser: 'markdown',
  semi: false,
  singleQuote: true,
  printWidth: 100,
})
if (process.argv[2] === '--check') {
  if (text !== wanted) {
    console.error(`${FILE} is not current: run node scripts/kernel-docs.mjs`)
    process.exitCode = 1
  }
} else {
  writeFileSync(FILE, wanted)
}
