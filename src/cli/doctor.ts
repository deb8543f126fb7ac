// cloister doctor: whether this host can run enclaves, and what to do where it cannot.

import { defaultBlobs } from '../library/index.ts'
import { Command } from 'commander'
import { examineHost, type Finding } from '../doctor/index.ts'
import { printJson, printText } from './print.ts'

interface DoctorOptions {
  readonly json?: boolean
  readonly containers?: boolean
}

const NOT_READY = 1

export function doctorCommand(): Command {
  return new Command('doctor')
    .option('--containers', 'also require skopeo and buildah, for registries and Dockerfiles')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExit status: 0 if enclaves can run here, otherwise 1. A warning means that something is slower or less\n' +
        'isolated than it could be, a note that an optional feature is missing; neither changes the status.\n' +
        '\nExample:\n  cloister doctor\n',
    )
    .action(examine)
}

async function examine(options: DoctorOptions): Promise<void> {
  const findings = await examineHost({
    blobs: process.env['CLOISTER_BLOBS'] ?? defaultBlobs(),
    withContainerTools: options.containers === true,
  })
  const isReady = !findings.some(({ status }) => status === 'failed')
  if (options.json === true) printJson({ Ready: isReady, Checks: findings.map(findingJson) })
  else printText(findings.map(findingText).join('\n'))
  const [yes, no] = ['Enclaves can run on this host.', 'Enclaves cannot run on this host yet.']
  if (options.json !== true) printText(`\n${isReady ? yes : no}`)
  if (!isReady) process.exitCode = NOT_READY
}

function findingJson({ name, status, text, fix }: Finding): object {
  return { Name: name, Status: status, Text: text, ...(fix !== undefined && { Fix: fix }) }
}

function findingText({ name, status, text, fix }: Finding): string {
  const line = `${status.padEnd(8)} ${name}: ${text}`
  return fix === undefined ? line : `${line}\n${' '.repeat(9)}What to do: ${fix}`
}
