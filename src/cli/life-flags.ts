// Flags of run-enclave about an enclave's life, beside those that nitro-cli has.

import { Option } from 'commander'
import { wholeNumber } from './arguments.ts'
import { restartRules } from '../enclaves/index.ts'

export function restartOption(): Option {
  return new Option(
    '--restart <rule>',
    "whether to start it again when it ends unasked (default: the manifest's, or no)",
  ).choices(restartRules)
}

export function attachOption(): Option {
  return new Option(
    '--attach',
    'stay in the foreground: print the lines that the manifest lets leave, end it on a signal, and exit as its app does',
  ).conflicts(['attachConsole', 'debugMode', 'restart'])
}

export function stopTimeoutOption(): Option {
  return new Option(
    '--stop-timeout <seconds>',
    'with --attach: how long the app may take after a signal',
  )
    .argParser(wholeNumber(0, 600))
    .default(10)
}

export function configDataOption(): Option {
  return new Option(
    '--config-data <path>',
    'a file or directory for the app, 64 KiB at most, at /run/cloister/config; measured into PCR16',
  )
}
