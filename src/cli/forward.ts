// `cloister forward`: TCP ports and unix sockets of this host to ports of a guest, and ports of its
// parent to those of this host, until the enclave ends.

import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { CloisterError } from '../errors.ts'
import {
  askVsock,
  isAlive,
  openDirectories,
  Registry,
  vsockSocketPath,
  explainRefusal,
} from '../enclaves/index.ts'
import {
  checkDistinct,
  describeHostEnd,
  forwardToGuest,
  forwardToHost,
  listsPort,
  parseToGuest,
  parseToHost,
  type Forwarded,
  type Forwarding,
} from '../vsock/index.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { RepeatedOption } from './arguments.ts'
import { printProgress } from './print.ts'
import { shellWord } from '../shell-word.ts'
import { tellOnce } from './tell-once.ts'

interface ForwardOptions extends EnclaveFlags {
  readonly toGuest: readonly Forwarding[]
  readonly toHost: readonly Forwarding[]
}

interface Enclave {
  readonly registry: Registry
  readonly id: string
  readonly name: string
  readonly directory: string
}

/** How often it is checked that the enclave still runs. */
const LOOK_MS = 500
const MAX_FORWARDINGS = 32

export function forwardCommand(): Command {
  return new Command('forward')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .addOption(
      new RepeatedOption(
        '-L, --to-guest <forwarding>',
        '[address:]port:guest-port or /path:guest-port',
        parseToGuest,
      ).default([], 'none'),
    )
    .addOption(
      new RepeatedOption(
        '-R, --to-host <forwarding>',
        'parent-port:[host:]port or parent-port:/path',
        parseToHost,
      ).default([], 'none'),
    )
    .addHelpText(
      'after',
      '\nThe address or host defaults to 127.0.0.1. Open the vsock ports as\n' +
        'usual: --guest-ports for -L and --parent-ports for -R, of run-enclave or open-ports. The command\n' +
        'ends when the enclave does.\n' +
        '\nExample:\n  cloister forward --enclave-name hello -L 8080:5005 -R 8000:127.0.0.1:443\n',
    )
    .action(forward)
}

async function forward({ toGuest, toHost, ...flags }: ForwardOptions): Promise<void> {
  const count = toGuest.length + toHost.length
  if (count === 0) throw argument('give --to-guest, --to-host or both')
  if (count > MAX_FORWARDINGS)
    throw argument(`${String(count)} forwardings are more than ${String(MAX_FORWARDINGS)}`)
  checkDistinct(toGuest, toHost)
  const enclave = runningEnclave(flags)
  await warnOfClosedPorts(enclave, toGuest, toHost)
  const tell = tellOnce()
  const opened: Forwarded[] = []
  try {
    for (const forwarding of toGuest) opened.push(await openToGuest(enclave, forwarding, tell))
    for (const forwarding of toHost) opened.push(await openToHost(enclave, forwarding, tell))
    while (isThere(enclave)) await sleep(LOOK_MS)
    printProgress(`The enclave ${enclave.name} has ended.`)
  } finally {
    await Promise.all(opened.map((it) => it[Symbol.asyncDispose]()))
  }
}

async function openToGuest(
  { directory, name }: Enclave,
  forwarding: Forwarding,
  tell: (error: unknown) => void,
): Promise<Forwarded> {
  const port = forwarding.vsockPort
  const onFailure = (cause: unknown): void => {
    if (!isRefusal(cause)) tell(cause)
    else void explainRefusal(cause, { directory, name, port }).then(tell)
  }
  const options = { socketPath: vsockSocketPath(directory), onFailure }
  const forwarded = await forwardToGuest(forwarding, options)
  printProgress(
    `Forwarding ${describeHostEnd(forwarded.hostEnd)} to port ${String(port)} of ${name}`,
  )
  return forwarded
}

function isRefusal(cause: unknown): boolean {
  return cause instanceof CloisterError && cause.code === 'ERR_VSOCK_CONNECT'
}

async function openToHost(
  { directory }: Enclave,
  forwarding: Forwarding,
  onFailure: (error: unknown) => void,
): Promise<Forwarded> {
  const options = { socketPath: vsockSocketPath(directory), onFailure }
  const forwarded = await forwardToHost(forwarding, options)
  const end = describeHostEnd(forwarding.hostEnd)
  printProgress(`Forwarding port ${String(forwarding.vsockPort)} of the parent to ${end}`)
  return forwarded
}

/** @throws `ERR_KEEPER_NO_SUCH_ENCLAVE` */
function runningEnclave(flags: EnclaveFlags): Enclave {
  const registry = new Registry(openDirectories().runtime)
  const record = findEnclave(registry, flags)
  const { name } = record.description
  if (isAlive(record))
    return { registry, id: record.id, name, directory: registry.directory(record.id) }
  throw new CloisterError('ERR_KEEPER_NO_SUCH_ENCLAVE', `the enclave ${name} has ended`)
}

function isThere({ registry, id }: Enclave): boolean {
  try {
    return isAlive(registry.find(id))
  } catch {
    return false // forgotten, or its record is damaged
  }
}

/** A closed port is not an error: it can be opened later. */
async function warnOfClosedPorts(
  { directory, name }: Enclave,
  toGuest: readonly Forwarding[],
  toHost: readonly Forwarding[],
): Promise<void> {
  const report = await askVsock(directory, false).catch(() => undefined)
  if (report === undefined) return
  const closed = [
    ...closedPorts(toGuest, report.guestPorts).map((port) => ['guest', port] as const),
    ...closedPorts(toHost, report.parentPorts).map((port) => ['parent', port] as const),
  ]
  for (const [side, port] of closed)
    printProgress(
      `Port ${port} of the ${side} is still closed. To open it: cloister open-ports --enclave-name ${shellWord(name)} --${side}-ports ${port}`,
    )
}

function closedPorts(forwardings: readonly Forwarding[], list: string): readonly string[] {
  const ports = new Set(forwardings.map(({ vsockPort }) => vsockPort))
  return [...ports].filter((port) => !listsPort(list, port)).map(String)
}

function argument(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message)
}
