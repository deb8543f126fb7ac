// `cloister parent -- PROGRAM`: hands over to cloister-parent (parent/), which runs the program with
// its AF_VSOCK answered by the enclaves of this host.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Command } from 'commander'
import { CloisterError, reasonOf } from '../errors.ts'
import { findParentProgram, openDirectories, Registry } from '../enclaves/index.ts'
import { checkChosen, chosenEnclavesOptions, type ChosenEnclaves } from './chosen-enclaves.ts'

/** Signals for the program that reach the process that the user started. */
const PASSED_ON = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const

export function parentCommand(): Command {
  const [enclaveName, enclaveId] = chosenEnclavesOptions()
  return new Command('parent')
    .usage('[options] -- <program> [args...]')
    .argument('<program>', 'the program, searched for in PATH')
    .argument('[args...]', "the program's arguments")
    .addOption(enclaveName)
    .addOption(enclaveId)
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nThe program connects to an enclave by its CID, and serves enclaves by listening on CID 3.\n' +
        'Open the ports as usual: --guest-ports and --parent-ports of run-enclave, or open-ports.\n' +
        "Exit status and signals are the program's.\n" +
        '\nExample:\n  cloister parent -- socat - VSOCK-CONNECT:16:5005\n',
    )
    .action(runParent)
}

async function runParent(
  program: string,
  args: readonly string[],
  chosen: ChosenEnclaves,
): Promise<void> {
  const { runtime } = openDirectories()
  checkChosen(new Registry(runtime), chosen)
  const supervisor = findParentProgram()
  const enclaves = [...chosen.enclaveId, ...chosen.enclaveName].flatMap((wanted) => [
    '--enclave',
    wanted,
  ])
  const options = ['--runtime', runtime, ...enclaves]
  const command = ['--', program, ...args]
  becomeProgram(supervisor, [...options, ...command])
  process.exitCode = await supervise(supervisor, [...options, '--with-parent', ...command])
}

/** Replaces this process, from Node.js 22.15 on: nothing stays between the caller and the program. */
function becomeProgram(program: string, args: readonly string[]): void {
  const { execve } = process as {
    readonly execve?: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never
  }
  if (execve !== undefined) execve.call(process, program, [program, ...args], process.env)
}

/** @throws `ERR_PROCESS_SPAWN` */
async function supervise(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(program, args, { stdio: 'inherit' })
  for (const signal of PASSED_ON) {
    process.removeAllListeners(signal)
    process.on(signal, () => child.kill(signal))
  }
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      const message = `cannot start ${program}: ${reasonOf(cause)}`
      reject(new CloisterError('ERR_PROCESS_SPAWN', message, { cause }))
    })
    child.once('exit', (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}
