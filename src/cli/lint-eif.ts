// cloister lint-eif: what AWS's tools, QEMU and Cloister have against an image.

import { Command, Option } from 'commander'

import type { LintFinding, Platform } from '../eif/index.ts'
import { lintImage } from '../image/index.ts'
import { printJson } from './print.ts'

const EXAMPLE = `
Examples:
  cloister lint-eif --eif-path hello.eif
  cloister lint-eif --eif-path hello.eif --platform aws cloister

Exit status: 0 without errors, 1 with errors, another value if the file cannot be read. An error means that
the listed platforms refuse the image or cannot run it: aws is nitro-cli and AWS's platform, qemu is QEMU's
nitro-enclave machine, cloister is this program. A warning means that the image may not be what it seems.`

const ALL = ['aws', 'qemu', 'cloister'] as const satisfies readonly Platform[]
const STATUS_ERRORS = 1

interface Flags {
  readonly eifPath: string
  readonly platform: readonly Platform[]
}

export function lintEifCommand(): Command {
  return new Command('lint-eif')
    .requiredOption('--eif-path <file>', 'the enclave image')
    .addOption(
      new Option('--platform <platforms...>', 'platforms whose rules apply')
        .choices(ALL)
        .default(ALL, 'all'),
    )
    .addHelpText('after', EXAMPLE)
    .action(async ({ eifPath, platform }: Flags) => {
      const all = await lintImage(eifPath, new Date())
      const findings = all.filter((it) => it.platforms.some((name) => platform.includes(name)))
      const errors = findings.filter(({ level }) => level === 'error').length
      printJson({
        Errors: errors,
        Warnings: findings.length - errors,
        Findings: findings.map(json),
      })
      if (errors > 0) process.exitCode = STATUS_ERRORS
    })
}

function json({ rule, level, platforms, message }: LintFinding): object {
  return { Rule: rule, Level: level, Platforms: platforms, Message: message }
}
