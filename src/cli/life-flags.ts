// Flags of run-enclave about an enclave's life, beside those that nitro-cli has.

import { Option } from 'commander'
import { wholeNumber } from './arguments.ts'
import { cgroupUses, restartRules } from '../enclaves/index.ts'

export function restartOption(): Option {
  return new Option(
    '--restart <rule>',
    "when to restart an enclave that ends without a request (default: the manifest's, or no)",
  ).choices(restartRules)
}

export function attachOption(): Option {
  return new Option(
    '--attach',
    'run in the foreground: print the log lines that the manifest declares, terminate on a signal, and return the exit status of the app',
  ).conflicts(['attachConsole', 'debugMode', 'restart'])
}

/** In seconds: that of `docker stop`. */
export const DEFAULT_STOP_TIMEOUT = 10

export function stopTimeoutOption(): Option {
  return new Option(
    '--stop-timeout <seconds>',
    `with --attach: how long the app may take to exit after a signal (default: ${String(DEFAULT_STOP_TIMEOUT)})`,
  ).argParser(wholeNumber(0, 600))
}

export function cgroupOption(): Option {
  return new Option(
    '--cgroup <use>',
    "limits by control groups: `auto` where this host allows them, `required`, or `off` (default: 'auto')",
  ).choices(cgroupUses)
}

export function hugePagesOption(): Option {
  return new Option(
    '--huge-pages',
    'memory in huge pages of 2 MiB, which the host must have reserved (vm.nr_hugepages)',
  )
}

export function configDataOption(): Option {
  return new Option(
    '--config-data <path>',
    'file or directory for the app, at most 64 KiB, in /run/cloister/config; measured into PCR16',
  )
}
