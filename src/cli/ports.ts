// Opening and closing vsock ports of an enclave while it runs.

import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { changePorts, isAlive, openDirectories, Registry } from '../enclaves/index.ts'
import { checkPortList, noPorts, vsockKinds, type PortLists } from '../vsock/index.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { printJson } from './print.ts'

interface PortsOptions extends EnclaveFlags {
  readonly parentPorts?: string
  readonly guestPorts?: string
}

const GRAMMAR = 'all, none, or a list such as 8000,9100-9110'

export function openPortsCommand(): Command {
  return portsCommand('open-ports').addHelpText(
    'after',
    '\nExample:\n  cloister open-ports --enclave-name hello --guest-ports 5005\n',
  )
}

export function closePortsCommand(): Command {
  return portsCommand('close-ports').addHelpText(
    'after',
    '\nExample:\n  cloister close-ports --enclave-name hello --guest-ports all\n',
  )
}

/** `--parent-ports`, which must not be taken for ports to listen at. */
export function parentPortsOption(): Option {
  const what = `parent ports (on this host) that the guest may connect to: ${GRAMMAR}`
  return new Option('--parent-ports <ports>', what).argParser(checkPortList)
}

export function guestPortsOption(): Option {
  const what = `guest ports that this host may connect to: ${GRAMMAR}`
  return new Option('--guest-ports <ports>', what).argParser(checkPortList)
}

/** Not `--vsock-…`: it says whose vsock it is, not which ports. */
export function vsockOption(): Option {
  return new Option(
    '--vsock <kind>',
    "whose vsock it has: card (default): Unix sockets; host: parent ports also at this host's AF_VSOCK; kernel: the CID is one of this host (/dev/vhost-vsock); on open ports only",
  ).choices(vsockKinds)
}

/** What two options name; no ports when they are absent. */
export function portsOf({ parentPorts, guestPorts }: PortsOptions): PortLists {
  return {
    parentPorts: parentPorts ?? noPorts.parentPorts,
    guestPorts: guestPorts ?? noPorts.guestPorts,
  }
}

function portsCommand(command: 'open-ports' | 'close-ports'): Command {
  return new Command(command)
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .addOption(parentPortsOption())
    .addOption(guestPortsOption())
    .action(async (options: PortsOptions) => {
      if (options.parentPorts === undefined && options.guestPorts === undefined)
        throw new CloisterError('ERR_CLI_ARGUMENT', 'give --parent-ports, --guest-ports or both')
      const registry = new Registry(openDirectories().runtime)
      const record = findEnclave(registry, options)
      if (!isAlive(record)) throw ended(record.description.name)
      const request = { command, ...portsOf(options) }
      const { parentPorts, guestPorts } = await changePorts(registry.directory(record.id), request)
      printJson({
        EnclaveName: record.description.name,
        EnclaveID: record.id,
        ParentPorts: parentPorts,
        GuestPorts: guestPorts,
      })
    })
}

function ended(name: string): CloisterError {
  return new CloisterError('ERR_KEEPER_NO_SUCH_ENCLAVE', `the enclave ${name} has ended`)
}
