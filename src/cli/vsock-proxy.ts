// cloister vsock-proxy: AWS's command of that name (nitro-cli's package), for the enclaves of this host.
// Its arguments, its options, its allowlist; docs/vsock-proxy.md compares the two.

import { Command, Option } from 'commander'
import { askVsock, openDirectories, Registry, type AliveRecord } from '../enclaves/index.ts'
import { CloisterError, messageOf } from '../errors.ts'
import {
  checkLocalPort,
  checkTargets,
  describeServer,
  MAX_CONNECTIONS,
  normalizeHost,
  Proxy,
  readProxyConfig,
  type AddressFamily,
  type ProxyPlan,
  type ServedPort,
  type Target,
} from '../proxy/index.ts'
import { shellWord } from '../shell-word.ts'
import { listsPort } from '../vsock/index.ts'
import { wholeNumber } from './arguments.ts'
import {
  checkChosen,
  chosenEnclavesOptions,
  isChosen,
  type ChosenEnclaves,
} from './chosen-enclaves.ts'
import { parsePlace, serveMetrics, type MetricsPlace } from './metrics-server.ts'
import { printProgress } from './print.ts'
import { proxyMetrics, type Reloads } from './proxy-metrics.ts'
import { notifyReady } from './service-manager.ts'
import { tellOnce } from './tell-once.ts'

interface ProxyFlags extends ChosenEnclaves {
  readonly ipv4?: boolean
  readonly ipv6?: boolean
  readonly num_workers: number
  readonly config: string
  readonly metrics?: MetricsPlace
}

const DEFAULT_CONFIG = '/etc/nitro_enclaves/vsock-proxy.yaml'
/** AWS's 4 make requests wait for each other. */
const DEFAULT_WORKERS = 256
/** The one above is VMADDR_PORT_ANY of vsock(7). */
const MAX_VSOCK_PORT = 0xffff_fffe

const NOTES = `
Enclaves that connect to LOCAL_PORT of their parent reach REMOTE_ADDR:REMOTE_PORT over TCP, if the allowlist in the
configuration file contains it. Without arguments, the targets listed in that file are proxied. SIGHUP reads it again.
Open the port as usual: --parent-ports of run-enclave, or open-ports.

Example:
  cloister vsock-proxy 8000 kms.eu-central-1.amazonaws.com 443 --config allow.yaml
`

export function vsockProxyCommand(): Command {
  const [enclaveName, enclaveId] = chosenEnclavesOptions()
  return new Command('vsock-proxy')
    .argument(
      '[local_port]',
      "the parent's port that enclaves connect to",
      wholeNumber(1, MAX_VSOCK_PORT),
    )
    .argument('[remote_addr]', 'name or IP address of the server')
    .argument('[remote_port]', 'TCP port of the server', wholeNumber(1, 0xffff))
    .addOption(new Option('-4, --ipv4', 'use IPv4 addresses only').conflicts('ipv6'))
    .addOption(new Option('-6, --ipv6', 'use IPv6 addresses only'))
    .option(
      '-w, --num_workers <n>',
      'simultaneous connections of each enclave to a server; further ones wait',
      wholeNumber(1, MAX_CONNECTIONS),
      DEFAULT_WORKERS,
    )
    .option('--config <file>', 'YAML file with the allowlist', DEFAULT_CONFIG)
    .addOption(enclaveName)
    .addOption(enclaveId)
    .option(
      '--metrics <where>',
      'serve metrics over HTTP at /metrics, on a unix socket (/path) or 127.0.0.1:PORT',
      parsePlace,
    )
    .addHelpText('after', NOTES)
    .action(
      async (
        localPort: number | undefined,
        host: string | undefined,
        port: number | undefined,
        flags: ProxyFlags,
      ) => {
        await proxy(givenTarget({ localPort, host, port }, flags), flags)
      },
    )
}

interface Given {
  readonly localPort: number | undefined
  readonly host: string | undefined
  readonly port: number | undefined
}

/** @throws `ERR_CLI_ARGUMENT`, `ERR_PROXY_CONFIG` for a reserved port. */
function givenTarget({ localPort, host, port }: Given, flags: ProxyFlags): readonly Target[] {
  if (localPort === undefined) return []
  if (host === undefined || port === undefined)
    throw argument(
      `missing required argument '${host === undefined ? 'remote_addr' : 'remote_port'}'`,
    )
  const normalized = normalizeHost(host)
  if (normalized === undefined) throw argument(`${host} is not a host name or an IP address`)
  return [{ ...defaultsOf(flags), localPort: checkLocalPort(localPort), host: normalized, port }]
}

function defaultsOf({ ipv4, ipv6, num_workers }: ProxyFlags): {
  readonly family: AddressFamily
  readonly maxConnections: number
} {
  const family = ipv4 === true ? 'ipv4' : ipv6 === true ? 'ipv6' : 'any'
  return { family, maxConnections: num_workers }
}

async function proxy(given: readonly Target[], flags: ProxyFlags): Promise<void> {
  const registry = new Registry(openDirectories().runtime)
  registry.settle()
  checkChosen(registry, flags)
  const plan = readPlan(given, flags)
  const tell = tellOnce()
  const isOurs = (record: AliveRecord): boolean => isChosen(record, flags)
  const onServed = (port: ServedPort): void => void warnOfClosedPort(registry, port)
  const running = await Proxy.start(plan, { registry, isChosen: isOurs, onFailure: tell, onServed })
  tellTargets(running)
  const reloads = { done: 0, failed: 0 }
  process.removeAllListeners('SIGHUP')
  process.on('SIGHUP', () => void reload(running, reloads, () => readPlan(given, flags)))
  if (flags.metrics !== undefined)
    await serveMetrics(flags.metrics, () => Promise.resolve(proxyMetrics(running.ports, reloads)))
  await notifyReady()
  await new Promise(() => {
    setInterval(() => undefined, 2 ** 30) // until a signal ends this process
  })
}

/** @throws `ERR_PROXY_CONFIG` */
function readPlan(given: readonly Target[], flags: ProxyFlags): ProxyPlan {
  const { allowlist, targets, unknown } = readProxyConfig(flags.config, defaultsOf(flags))
  if (unknown.length > 0)
    printProgress(`Note: ${flags.config} has unknown keys: ${unknown.join(', ')}.`)
  if (given.length > 0 && allowlist === undefined)
    throw new CloisterError('ERR_PROXY_CONFIG', `${flags.config} has no allowlist`, {
      hint: 'Add an allowlist that contains the server, or list it under targets and give no arguments.',
    })
  return { allowlist, targets: checkTargets([...given, ...targets]) }
}

/** A file that cannot be used changes nothing. */
async function reload(running: Proxy, reloads: Reloads, read: () => ProxyPlan): Promise<void> {
  try {
    await running.reload(read())
    reloads.done++
    tellTargets(running)
  } catch (error) {
    reloads.failed++
    const code = error instanceof CloisterError ? `${error.code}: ` : ''
    printProgress(`The configuration was not reloaded: ${code}${messageOf(error)}`)
  }
}

function tellTargets({ targets }: Proxy): void {
  for (const target of targets)
    printProgress(
      `Proxying port ${String(target.localPort)} of the parent to ${describeServer(target)}`,
    )
}

/** A closed port is not an error: it can be opened later. */
async function warnOfClosedPort(registry: Registry, { record, target }: ServedPort): Promise<void> {
  const { name, ports } = record.description
  const port = String(target.localPort)
  const report =
    record.state === 'RUNNING'
      ? await askVsock(registry.directory(record.id), false).catch(() => undefined)
      : ports
  if (report === undefined || listsPort(report.parentPorts, target.localPort)) return
  printProgress(
    `Port ${port} of the parent is still closed for ${name}. To open it: cloister open-ports --enclave-name ${shellWord(name)} --parent-ports ${port}`,
  )
}

function argument(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message)
}
