// enclave-images/signer/README.md, which people follow by hand: it names every program that its commands need.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const README = resolve(import.meta.dirname, '../../enclave-images/signer/README.md')
/** Of bash and coreutils. */
const ALWAYS_THERE = [
  ...['cat', 'cp', 'install', 'base64', 'basenc', 'cmp', 'echo', 'printf', 'sleep', 'kill'],
  ...['umask', 'jobs', 'export', 'until', 'do', 'done', 'true'],
]

/** The commands of the blocks, without what they print. */
function commands(text: string): string {
  const blocks = [...text.matchAll(/```console\n([^]*?)```/g)].map(([, block = '']) => block)
  const lines = blocks.join('').split('\n')
  return lines.filter((line) => /^(# | {2})/.test(line)).join('\n')
}

function programsOf(script: string): ReadonlySet<string> {
  // Programs of jq are in quotes.
  const shell = script.replace(/'[^']*'/g, "''")
  const own = [...shell.matchAll(/^# (\w+)\(\)/gm)].map(([, name = '']) => name)
  const starts = /(?:^# |[|;{(]|&&|\bdo ) *(?:[A-Z_]+=[^\s(]* +)*([a-z][\w-]*)/gm
  const used = [...shell.matchAll(starts)].map(([, name = '']) => name)
  // `as USER PROGRAM`.
  const asUser = [...shell.matchAll(/\bas (?:admin|app) (\w+)/g)].map(([, name = '']) => name)
  return new Set([...used, ...asUser].filter((name) => !own.includes(name)))
}

test('every program of its commands is among those that it says one needs, and the other way round', () => {
  const text = readFileSync(README, 'utf8')
  const [, sentence = ''] = /You need ([^]*?)\.\n/.exec(text) ?? []
  const named = sentence.match(/`\w+`|AWS CLI/g)?.map((name) => name.replaceAll('`', '')) ?? []
  const needed = named.map((name) => (name === 'AWS CLI' ? 'aws' : name))
  const used = [...programsOf(commands(text))].filter((name) => !ALWAYS_THERE.includes(name))
  expect(used.toSorted()).toEqual(needed.toSorted())
})
