// `cloister` as a user of the lab's host runs it, and what the tests look at there.

import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandResult } from './channel.ts'
import type { Lab } from './lab.ts'

/** What describe-enclaves prints, as far as these tests look at it. */
export interface LabEnclave {
  readonly EnclaveID: string
  readonly EnclaveCID: number
  readonly ProcessID: number
  readonly State: string
  readonly Accelerator: string
  readonly Measurements: Readonly<Record<string, string>>
  readonly Journal: string
  readonly VsockKind?: string
  readonly VsockSocket: string
  readonly Processes: Readonly<Record<string, number>>
  readonly End?: { readonly First: string; readonly Reason: string; readonly Signal?: string }
}

export interface LabCaller {
  readonly lab: Lab
  readonly user: string
  readonly env?: Readonly<Record<string, string>>
}

/** Far longer than a boot takes, for machines that have much else to do. */
const BOOT_TIMEOUT_S = 300
const TIMEOUT_MS = 600_000
const READ_S = 60
const RETRY_MS = 500

/** Runs `cloister` and returns how it went, whatever that is. */
export function cloister(
  { lab, user, env = {} }: LabCaller,
  ...args: readonly string[]
): Promise<CommandResult> {
  return lab.run(['cloister', ...args], { user, env, timeoutMs: TIMEOUT_MS })
}

/** Runs a program, which must succeed, and returns what it printed. */
export async function output(
  { lab, user, env = {} }: LabCaller,
  ...argv: readonly string[]
): Promise<string> {
  const { status, stdout, stderr } = await lab.run(argv, { user, env, timeoutMs: TIMEOUT_MS })
  if (status === 0) return stdout
  throw new Error(`${argv.join(' ')}: exit status ${String(status)}\n${stdout}\n${stderr}`)
}

/** Starts an enclave whose ports 5005 and 5006 are open. */
export async function startEnclave(
  caller: LabCaller,
  eif: string,
  ...args: readonly string[]
): Promise<LabEnclave> {
  const sizes = ['--memory', '128', '--cpu-count', '1', '--guest-ports', '5005,5006']
  const command = ['run-enclave', '--eif-path', eif, '--boot-timeout', String(BOOT_TIMEOUT_S)]
  const launched = await output(caller, 'cloister', ...command, ...sizes, ...args)
  const { EnclaveID } = JSON.parse(launched) as LabEnclave
  return describeEnclave(caller, EnclaveID)
}

export async function describeEnclave(caller: LabCaller, id: string): Promise<LabEnclave> {
  const all = await output(caller, 'cloister', 'describe-enclaves', '--all')
  const found = (JSON.parse(all) as readonly LabEnclave[]).find(({ EnclaveID }) => EnclaveID === id)
  if (found === undefined) throw new Error(`describe-enclaves does not show ${id}`)
  return found
}

/** Sends `line` to a port of the guest and returns everything that comes back. */
export async function dial(
  caller: LabCaller,
  { VsockSocket }: LabEnclave,
  port: number,
  line: string,
): Promise<string> {
  const script = `printf 'CONNECT %s\\n%s' "$1" "$2" | socat -t ${String(READ_S)} - "UNIX-CONNECT:$3"`
  const answer = await output(
    caller,
    ...['bash', '-c', script, 'bash', String(port), line === '' ? '' : `${line}\n`, VsockSocket],
  )
  return answer.slice(answer.indexOf('\n') + 1)
}

/** The report that a guest program serves, as soon as it does. */
export async function report(
  caller: LabCaller,
  enclave: LabEnclave,
  port: number,
): Promise<string> {
  const deadline = Date.now() + TIMEOUT_MS
  for (;;) {
    const text = await dial(caller, enclave, port, '').catch(() => '')
    if (text !== '') return text
    const { State, End } = await describeEnclave(caller, enclave.EnclaveID)
    if (State === 'TERMINATED')
      throw new Error(`the enclave has ended without a report: ${JSON.stringify(End)}`)
    if (Date.now() > deadline) {
      const { stdout } = await cloister(caller, 'describe-enclaves', '--all')
      throw new Error(`nothing is served on port ${String(port)}; of the enclaves: ${stdout}`)
    }
    await sleep(RETRY_MS)
  }
}

/** A document of the example app over `nonce`. */
export async function requestDocument(
  caller: LabCaller,
  enclave: LabEnclave,
  nonce: Buffer,
): Promise<Buffer> {
  const request = { nonce: nonce.toString('base64'), userData: null, publicKey: null }
  const answer = await dial(caller, enclave, 5005, JSON.stringify(request))
  const { document } = JSON.parse(answer) as { readonly document: string }
  return Buffer.from(document, 'base64')
}

/** The root certificate of the caller's host, DER. */
export async function rootCertificate(caller: LabCaller): Promise<Buffer> {
  const state = caller.user === 'root' ? '/var/lib/cloister' : '"$HOME/.local/state/cloister"'
  const pem = await output(caller, 'bash', '-c', `cat ${state}/authority/root.pem`)
  return Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64')
}
