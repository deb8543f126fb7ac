// cloister run-enclave: nitro-cli's command, with the accelerator, vsock ports and a role beside its flags.
// docs/nitro-cli.md compares the two.

import { Command, Option } from 'commander'
import { CloisterError, withHint } from '../errors.ts'
import {
  DEFAULT_BOOT_TIMEOUT_MS,
  DEFAULT_MEMORY_MIB,
  Registry,
  startEnclave,
  type LaunchOptions,
  type LaunchRequest,
  type RunningEnclave,
  waitForPort,
} from '../enclaves/index.ts'
import type { MeasuredManifest } from '../manifest/index.ts'
import { planLaunch } from '../library/index.ts'
import { probeAccelerator, type Accelerator } from '../vmm/index.ts'
import {
  acceleratorOption,
  MAX_CPU_COUNT,
  MAX_CPU_ID,
  memorySize,
  wholeNumber,
} from './arguments.ts'
import { connectConsole, printConsole } from './console.ts'
import { launchJson } from './enclave-json.ts'
import { listsPort } from '../vsock/index.ts'
import { guestPortsOption, parentPortsOption, portsOf, vsockOption } from './ports.ts'
import {
  attachOption,
  cgroupOption,
  configDataOption,
  hugePagesOption,
  DEFAULT_STOP_TIMEOUT,
  restartOption,
  stopTimeoutOption,
} from './life-flags.ts'
import { printJson, printProgress } from './print.ts'
import { shellWord } from '../shell-word.ts'
import { notifyReady } from './service-manager.ts'
import { Attached } from './attach.ts'
import { applyRunConfig } from './config-file.ts'
import { dnsOption, egressOption, networkOf, publishOption } from './network-options.ts'
import type { RunOptions } from './run-options.ts'

/** `cloister run-enclave`; `--memory` in MiB, `--boot-timeout` in seconds. Throws as `launchRequest` and `startEnclave`. */
export function runEnclaveCommand(): Command {
  return new Command('run-enclave')
    .option('--eif-path <file>', 'the enclave image')
    .option(
      '--memory <size>',
      `memory in MiB, or with M, G, T (default: the manifest's, or ${String(DEFAULT_MEMORY_MIB)})`,
      memorySize,
    )
    .option(
      '--cpu-count <n>',
      "number of vCPUs (default: the manifest's, or 1)",
      wholeNumber(1, MAX_CPU_COUNT),
    )
    .addOption(
      new Option('--cpu-ids <ids...>', 'host CPUs to run on, one vCPU each')
        .argParser(cpuIds)
        .conflicts('cpuCount'),
    )
    .option(
      '--enclave-cid <cid>',
      "the guest's vsock CID (default: a free one)",
      wholeNumber(0, 0xffffffff),
    )
    .option(
      '--enclave-name <name>',
      "name of the enclave (default: the manifest's, or the image's file name)",
    )
    .addOption(guestPortsOption())
    .addOption(parentPortsOption())
    .addOption(vsockOption())
    .addOption(egressOption())
    .addOption(dnsOption())
    .addOption(publishOption())
    .option('--debug-mode', 'make the console readable; attestation documents then carry zero PCRs')
    .option('--attach-console', 'print the console until the enclave ends; implies --debug-mode')
    .option('--config <file>', "nitro-cli's JSON file with these settings")
    .addOption(acceleratorOption())
    .option('--role <arn>', 'identity to extend into PCR3, as AWS does with an IAM role')
    .addOption(configDataOption())
    .addOption(hugePagesOption())
    .addOption(cgroupOption())
    .addOption(restartOption())
    .addOption(attachOption())
    .addOption(stopTimeoutOption())
    .addOption(bootTimeoutOption())
    .option(
      '--wait-port <port>',
      'return, or report ready, once the app listens on this guest port, waiting up to --boot-timeout once more',
      wholeNumber(0, 0xffffffff),
    )
    .addHelpText(
      'after',
      '\nExample:\n  cloister run-enclave --eif-path hello.eif --memory 256 --cpu-count 1 --guest-ports 5005\n',
    )
    .action(runEnclave)
}

function bootTimeoutOption(): Option {
  return new Option('--boot-timeout <seconds>', 'how long the guest may take to boot')
    .argParser(wholeNumber(1, 3600))
    .default(DEFAULT_BOOT_TIMEOUT_MS / 1000)
}

function cpuIds(text: string, before: readonly number[] = []): readonly number[] {
  return [...before, wholeNumber(0, MAX_CPU_ID)(text)]
}

async function runEnclave(flags: RunOptions): Promise<void> {
  const options = applyRunConfig(flags)
  checkWaitPort(options)
  checkAttach(options)
  const { accelerator, notes } = chooseAccelerator(options.accelerator)
  const network = await networkOf(options)
  const plan = await planLaunch({ ...launchOptions(options, accelerator), network })
  const { request, manifest } = plan
  // Not before the arguments are known to be right.
  for (const note of [...manifestNotes(manifest, options), ...notes]) printProgress(note)
  const enclave = await launch(request)
  if (options.attach === true) {
    await attach(options, request, enclave)
    return
  }
  printJson(launchJson(enclave.record))
  await waitUntilReady(options, request, enclave).catch((error: unknown) => {
    throw stillRuns(error, enclave)
  })
  if (options.attachConsole === true) await attachConsole(request, enclave)
}

async function attach(
  options: RunOptions,
  request: LaunchRequest,
  enclave: RunningEnclave,
): Promise<void> {
  const registry = new Registry(request.directories.runtime)
  const { stopTimeout = DEFAULT_STOP_TIMEOUT } = options
  using attached = new Attached(registry, enclave.record, stopTimeout * 1000)
  const status = attached.untilEnd()
  try {
    const ready = waitUntilReady(options, request, enclave).then(() => notifyReady())
    await Promise.race([status, ready])
  } catch (error) {
    // How an app has ended says more than that it does not listen.
    if (await attached.end()) throw error
  }
  process.exitCode = await status
}

async function waitUntilReady(
  { waitPort: port, bootTimeout }: RunOptions,
  { directories }: LaunchRequest,
  { record }: RunningEnclave,
): Promise<void> {
  if (port === undefined) return
  const registry = new Registry(directories.runtime)
  await waitForPort(registry, record, { port, timeoutMs: bootTimeout * 1000 })
}

/** An enclave whose port does not open is left as it is: its logs say why. */
function stillRuns(error: unknown, { record }: RunningEnclave): unknown {
  if (!(error instanceof CloisterError) || error.code !== 'ERR_VSOCK_CONNECT') return error
  const name = shellWord(record.description.name)
  const hint = `The enclave runs on, if it has not ended: read its logs, wait longer (--boot-timeout), or end it with \`cloister terminate-enclave --enclave-name ${name}\`.`
  return withHint(error, hint)
}

/** Settings of a --config file are not flags, which commander would have checked. */
function checkAttach({ attach, debugMode, attachConsole, stopTimeout }: RunOptions): void {
  if (attach !== true && stopTimeout !== undefined)
    throw new CloisterError('ERR_CLI_ARGUMENT', '--stop-timeout has an effect with --attach only', {
      hint: 'Add --attach, or give `cloister terminate-enclave` a --timeout.',
    })
  if (attach !== true || (debugMode !== true && attachConsole !== true)) return
  throw new CloisterError('ERR_CLI_ARGUMENT', '--attach and debug mode exclude each other', {
    hint: 'In debug mode use --attach-console.',
  })
}

/** @throws `ERR_CLI_ARGUMENT` when the port would not be open. */
function checkWaitPort(options: RunOptions): void {
  const { waitPort } = options
  if (waitPort === undefined || listsPort(portsOf(options).guestPorts, waitPort)) return
  const message = `--wait-port ${String(waitPort)}: this guest port is not among the open ones`
  throw new CloisterError('ERR_CLI_ARGUMENT', message, {
    hint: `Add --guest-ports ${String(waitPort)}.`,
  })
}

/** Starts the enclave and tells a person how; used by the demo too. */
export async function launch(request: LaunchRequest): Promise<RunningEnclave> {
  const enclave = await startEnclave(request, () => {
    printProgress('Start allocating memory...')
  })
  const { name, cid, memoryMib, cpuIds } = enclave.record.description
  const wanted = request.description.name
  if (name !== wanted)
    printProgress(`The name ${wanted} is in use: this enclave is called ${name}.`)
  printProgress(
    `Started enclave with enclave-cid: ${String(cid)}, memory: ${String(memoryMib)} MiB, cpu-ids: [${cpuIds.join(', ')}]`,
  )
  return enclave
}

/** @throws `ERR_CLI_ARGUMENT` without an image. */
function imageOf({ eifPath }: RunOptions): string {
  if (eifPath !== undefined) return eifPath
  throw new CloisterError('ERR_CLI_ARGUMENT', "required option '--eif-path <file>' not specified")
}

function launchOptions(
  options: RunOptions,
  accelerator: Accelerator,
): Omit<LaunchOptions, 'asked'> {
  return {
    eifPath: imageOf(options),
    name: options.enclaveName,
    memoryMib: options.memory,
    hugePages: options.hugePages,
    cpuCount: options.cpuCount,
    cpuIds: options.cpuIds,
    cid: options.enclaveCid,
    ports: portsOf(options),
    vsock: options.vsock,
    debug: options.debugMode === true || options.attachConsole === true,
    accelerator,
    role: options.role,
    configData: options.configData,
    cgroup: options.cgroup,
    restart: options.attach === true ? 'no' : options.restart,
    bootTimeoutMs: options.bootTimeout * 1000,
  }
}

/** What the image declares and the operator decides: ports stay closed. */
function manifestNotes(
  manifest: MeasuredManifest | undefined,
  options: RunOptions,
): readonly string[] {
  const { guestPorts } = portsOf(options)
  const published = new Set((options.publish ?? []).map(({ guestPort }) => guestPort))
  const tlsPorts = (manifest?.tls ?? []).map(({ port }) => port)
  const served = [...(manifest?.ports ?? []), ...tlsPorts.filter((port) => !published.has(port))]
  const closed = served.filter((port) => !listsPort(guestPorts, port))
  const hasNetwork = manifest?.egress !== undefined
  const asksInVain = !hasNetwork && (options.egress ?? options.dns) !== undefined
  return [
    ...(asksInVain
      ? [
          '--egress and --dns have no effect: the image has no egress in its manifest, so it gets no network.',
        ]
      : []),
    ...(closed.length > 0
      ? [`The image serves ports that are closed: --guest-ports ${closed.join(',')} opens them.`]
      : []),
  ]
}

/** What `auto` comes to on this host; the notes say why when it is emulation. */
export function chooseAccelerator(wanted: RunOptions['accelerator']): {
  readonly accelerator: Accelerator
  readonly notes: readonly string[]
} {
  if (wanted !== 'auto') return { accelerator: wanted, notes: [] }
  const { accelerator, reason } = probeAccelerator()
  return {
    accelerator,
    notes: accelerator === 'tcg' ? [`${reason}; using TCG (emulation, slower).`] : [],
  }
}

async function attachConsole(
  { directories }: LaunchRequest,
  { record }: RunningEnclave,
): Promise<void> {
  await printConsole(await connectConsole(new Registry(directories.runtime), record))
}
