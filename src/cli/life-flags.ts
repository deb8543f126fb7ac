// Flags of run-enclave about an enclave's life, beside those that nitro-cli has.

import { Option } from 'commander'
import { restartRules } from '../enclaves/index.ts'

export function restartOption(): Option {
  return new Option(
    '--restart <rule>',
    "whether to start it again when it ends unasked (default: the manifest's, or no)",
  ).choices(restartRules)
}

export function configDataOption(): Option {
  return new Option(
    '--config-data <path>',
    'a file or directory for the app, 64 KiB at most, at /run/cloister/config; measured into PCR16',
  )
}
