// Completion in the shells themselves: what they offer for a line that somebody has begun.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commandTable } from '../../src/cli/command-table.ts'
import { TestHost } from '../host.ts'

const run = promisify(execFile)
let host: TestHost

beforeAll(async () => {
  host = new TestHost()
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stderr } = await host.shell(`cloister completion ${shell} > script.${shell}`)
    expect(status, stderr).toBe(0)
  }
})

afterAll(() => {
  host.discard()
})

const lines: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['cloister ru', ['run', 'run-enclave']],
  ['nitro-cli describe-e', ['describe-eif', 'describe-enclaves']],
  ['cloister run --accelerator ', ['auto', 'kvm', 'tcg']],
  ['cloister run-enclave --eif', ['--eif-path']],
  ['cloister completion ', ['bash', 'fish', 'zsh']],
  ['cloister kms ', ['audit', 'backup', 'policy', 'restore', 'serve']],
  ['cloister kms policy ', ['generate', 'test']],
  ['cloister kms serve --tls', ['--tls-cert', '--tls-key']],
  ['cloister kms policy test --expect ', ['allow', 'deny']],
]

test('bash offers commands, options and their values', async () => {
  const script = `source "$1"; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _cloister; printf '%s\\n' "\${COMPREPLY[@]}"`
  for (const [line, offered] of lines) {
    const words = line.split(' ')
    const { stdout } = await run('bash', [
      '-c',
      script,
      '-',
      join(host.path('script.bash')),
      ...words,
    ])
    const found = stdout
      .trim()
      .split('\n')
      .filter((word) => !/^(--verbose|--help)$/.test(word))
    expect([line, found.toSorted()]).toEqual([line, offered.toSorted()])
  }
})

test.each(['bash', 'zsh'])('%s runs nothing that the name of an enclave says', async (shell) => {
  const names = ['$(touch ran)', '`touch ran`', 'web']
  const json = names.map((name) => `"EnclaveName": "${name}",`).join('\n')
  const script = `cd "$1"; json=$2
    cloister() { printf '%s\\n' "$json"; }
    source script.${shell}; COMP_WORDS=(cloister stop --enclave-name '') COMP_CWORD=3
    [ -z "$ZSH_VERSION" ] || setopt ksharrays; _cloister; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = await run(shell, ['-c', script, '-', host.directory, json])
  expect(stdout.trim()).toBe('web')
  expect(existsSync(host.path('ran'))).toBe(false)
})

test('bash completes files where an option takes one, and knows every command', async () => {
  const script = `cd "$2" && source script.bash && COMP_WORDS=(cloister $1) COMP_CWORD=$3; _cloister
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const offered = async (words: string, at: number): Promise<readonly string[]> =>
    (await run('bash', ['-c', script, '-', words, host.directory, String(at)])).stdout.split('\n')
  expect(await offered('run --eif-path script.b', 3)).toContain('script.bash')
  const names = commandTable.flatMap(({ name, alias }) => [
    name,
    ...(alias === undefined ? [] : [alias]),
  ])
  expect(await offered('', 1)).toEqual(expect.arrayContaining(names))
})

test('fish offers commands, options and their values', async () => {
  for (const [line, offered] of lines) {
    const script = `source $argv[1]; complete -C $argv[2]`
    const { stdout } = await run('fish', [
      '--no-config',
      '-c',
      script,
      host.path('script.fish'),
      line,
    ])
    const found = stdout
      .trim()
      .split('\n')
      .map((text) => text.split('\t')[0])
    expect([line, found.toSorted()]).toEqual([line, offered.toSorted()])
  }
})

test('zsh completes a line that is typed', async () => {
  const script = `zmodload zsh/zpty; zpty z zsh -f -i
    zpty -w z "autoload -U compinit; compinit -u -D; source '$1'; echo SOUR''CED"
    zpty -r -m z seen '*SOURCED*'
    zpty -w -n z $'cloister completion ba\\t'; zpty -r -m z seen '*completion bash*'; print $?
    zpty -w -n z $'\\C-ucloister run --accelerator k\\t'; zpty -r -m z seen '*accelerator kvm*'; print $?`
  const { stdout } = await run('zsh', ['-f', '-c', script, '-', host.path('script.zsh')], {
    timeout: 30_000,
  })
  expect(stdout).toBe('0\n0\n')
})
