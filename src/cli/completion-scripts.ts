// The completion scripts of the shells. What is written into them are words and texts of our own commands.
// Names of enclaves are asked for when Tab is pressed, and may come from whoever named an image file.

import type { CommandWords, OptionWords, Value } from './completion-words.ts'

/** Names that the scripts complete: scripts for nitro-cli call it so. */
const PROGRAMS = ['cloister', 'nitro-cli'] as const

/**
 * Prints one id or name a line, of those that run. compgen expands its words once more, as if they were
 * written in a script: names with a character that means something to a shell are not offered.
 */
const LIST_ENCLAVES = `cloister describe-enclaves 2>/dev/null | sed -n 's/^ *"KEY": "\\([A-Za-z0-9][A-Za-z0-9._@+-]*\\)",$/\\1/p'`

/** bash 4 and later, without the package bash-completion. */
export function bashCompletion(commands: readonly CommandWords[]): string {
  const outermost = commands.filter(isOutermost).flatMap(({ names }) => names)
  const inner = commands.flatMap(({ names }) => names).filter((name) => name.includes(' '))
  return `# bash completion for cloister
_cloister() {
  local IFS=$'\\n' cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in -*) continue ;; esac
    case "$command \${COMP_WORDS[i]}" in
    ' '*|${inner.map((name) => `'${name}'`).join('|')}) command=\${command:+$command }\${COMP_WORDS[i]} ;;
    esac
  done
  case $command in
  '')
    words=$'${bashWords([...outermost, 'help', '--help', '--version'])}' ;;
  help)
    words=$'${bashWords(outermost)}' ;;
${commands.map(bashCommand).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _cloister ${PROGRAMS.join(' ')}
`
}

/** zsh takes the script of bash; its own function reads it (zshcompsys(1), bashcompinit). */
export function zshCompletion(commands: readonly CommandWords[]): string {
  const head = `# zsh completion for cloister
autoload -U +X compinit && { (( \${+functions[compdef]} )) || compinit }
autoload -U +X bashcompinit && bashcompinit
`
  return `${head}${bashCompletion(commands)}`
}

/** A fish script of `complete` commands, for `cloister` and for `nitro-cli`. */
export function fishCompletion(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap((command) => [
    ...(isOutermost(command) ? command.names : []).map(
      (name) =>
        `complete -c $program -n __fish_use_subcommand -a ${name} -d ${quoted(command.text)}`,
    ),
    ...command.options.map((option) => fishOption(command, option)),
    ...(command.operands === 'program' || command.operands.length === 0
      ? []
      : [
          `complete -c $program -n ${fishCondition(command, command.operands)} -a ${quoted(command.operands.join(' '))}`,
        ]),
  ])
  return `# fish completion for cloister
for program in ${PROGRAMS.join(' ')}
  complete -c $program -f
${lines.map((line) => `  ${line}`).join('\n')}
end
`
}

function bashCommand({ names, options, operands }: CommandWords): string {
  const values = options.filter(({ value }) => value.kind !== 'none').map(bashValue)
  const words = [...options.flatMap((option) => option.names), '--verbose', '--help']
  const free = operands === 'program' ? [] : operands
  const cases = values.length === 0 ? '' : `    case $prev in\n${values.join('\n')}\n    esac\n`
  return `  ${names.map((name) => `'${name}'`).join('|')})
${cases}    words=$'${bashWords([...words, ...free])}' ;;`
}

function bashValue({ names, value }: OptionWords): string {
  return `    ${names.join('|')}) ${bashReply(value)}return ;;`
}

function bashReply(value: Value): string {
  switch (value.kind) {
    case 'choice':
      return `COMPREPLY=($(compgen -W $'${bashWords(value.words)}' -- "$cur")); `
    case 'file':
      return `COMPREPLY=($(compgen -f -- "$cur")); `
    case 'enclave-id':
      return `COMPREPLY=($(compgen -W "$(${LIST_ENCLAVES.replace('KEY', 'EnclaveID')})" -- "$cur")); `
    case 'enclave-name':
      return `COMPREPLY=($(compgen -W "$(${LIST_ENCLAVES.replace('KEY', 'EnclaveName')})" -- "$cur")); `
    default:
      return 'COMPREPLY=(); '
  }
}

/** Between lines: compgen splits there alone. */
function bashWords(words: readonly string[]): string {
  return words.join('\\n')
}

function fishOption(command: CommandWords, { names, text, value }: OptionWords): string {
  const flags = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  )
  const line = `complete -c $program -n ${fishCondition(command)} ${flags.join(' ')} -d ${quoted(text)}`
  switch (value.kind) {
    case 'none':
      return line
    case 'file':
      return `${line} -r -F`
    case 'choice':
      return `${line} -x -a ${quoted(value.words.join(' '))}`
    case 'enclave-id':
      return `${line} -x -a ${quoted(`(${LIST_ENCLAVES.replace('KEY', 'EnclaveID')})`)}`
    case 'enclave-name':
      return `${line} -x -a ${quoted(`(${LIST_ENCLAVES.replace('KEY', 'EnclaveName')})`)}`
    case 'text':
      return `${line} -x`
  }
}

/** All words of the command are there, and none of those that would make it another one. */
function fishCondition({ names }: CommandWords, next: readonly string[] = []): string {
  const words = (names[0] ?? '').split(' ')
  const outer = [...new Set(names.map((name) => name.split(' ')[0]))].join(' ')
  const seen = [outer, ...words.slice(1)].map((word) => `__fish_seen_subcommand_from ${word}`)
  const not = next.length === 0 ? [] : [`not __fish_seen_subcommand_from ${next.join(' ')}`]
  return quoted([...seen, ...not].join('; and '))
}

function isOutermost({ names }: CommandWords): boolean {
  return names.every((name) => !name.includes(' '))
}

/** In single quotes, as fish reads them. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
