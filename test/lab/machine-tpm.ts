// The TPM of the lab's host: swtpm beside its QEMU, made as a vendor makes one, with an EK certificate
// and a platform certificate in its NV storage and PCR banks for SHA-256 and SHA-384.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bash } from './commands.ts'

const START_MS = 10_000

const MANUFACTURE = `
mkdir -p "$1/ca" "$1/state"
cat >"$1/swtpm-localca.conf" <<END
statedir = $1/ca
signingkey = $1/ca/signkey.pem
issuercert = $1/ca/issuercert.pem
certserial = $1/ca/certserial
END
cat >"$1/swtpm_setup.conf" <<END
create_certs_tool = $(command -v swtpm_localca)
create_certs_tool_config = $1/swtpm-localca.conf
create_certs_tool_options = /etc/swtpm-localca.options
END
swtpm_setup --tpm2 --tpmstate "$1/state" --config "$1/swtpm_setup.conf" --create-ek-cert \\
  --create-platform-cert --pcr-banks sha256,sha384 --lock-nvram --not-overwrite >"$1/setup.log"
`

export interface MachineTpm {
  readonly process: ChildProcess
  readonly socket: string
}

/** Its state lies below `directory` and is made when it is missing. */
export async function startMachineTpm(directory: string): Promise<MachineTpm> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  await bash(MANUFACTURE, directory)
  const socket = join(directory, 'socket')
  const state = `dir=${join(directory, 'state')}`
  const swtpm = [
    'swtpm',
    'socket',
    '--tpm2',
    '--tpmstate',
    state,
    '--ctrl',
    `type=unixio,path=${socket}`,
  ]
  const process = spawn('setpriv', ['--pdeathsig', 'KILL', ...swtpm, '--terminate'], {
    stdio: 'ignore',
  })
  const deadline = Date.now() + START_MS
  while (!existsSync(socket)) {
    if (process.exitCode !== null || Date.now() > deadline) throw new Error('swtpm did not start')
    await sleep(20)
  }
  return { process, socket }
}
