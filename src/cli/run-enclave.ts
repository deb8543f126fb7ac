import { existsSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { checkInputPath } from '../files/index.ts'
import {
  findPrograms,
  MIN_MEMORY_MIB,
  openConsole,
  openDirectories,
  Registry,
  startEnclave,
  type LaunchRequest,
  type RunningEnclave,
} from '../enclaves/index.ts'
import { probeAccelerator, type Accelerator } from '../vmm/index.ts'
import { acceleratorOption, memorySize, wholeNumber } from './arguments.ts'
import { printConsole } from './console.ts'
import { launchJson } from './enclave-json.ts'
import { guestPortsOption, parentPortsOption, portsOf } from './ports.ts'
import { printJson, printProgress } from './print.ts'
import { applyRunConfig } from './run-config.ts'
import { MAX_CPUS, type RunOptions } from './run-options.ts'

const DEFAULT_MEMORY_MIB = 512
const MAX_MEMORY_MIB = 16 * 1024 * 1024

export function runEnclaveCommand(): Command {
  return new Command('run-enclave')
    .alias('run')
    .description('start an enclave from an EIF')
    .option('--eif-path <file>', 'the enclave image')
    .option(
      '--memory <size>',
      `memory in MiB, or with M, G, T (default ${String(DEFAULT_MEMORY_MIB)})`,
      memorySize,
    )
    .option('--cpu-count <n>', 'number of vCPUs (default 1)', wholeNumber(1, MAX_CPUS))
    .addOption(
      new Option('--cpu-ids <ids...>', 'host CPUs to run on, one vCPU each').conflicts('cpuCount'),
    )
    .option(
      '--enclave-cid <cid>',
      "the guest's vsock CID (default: chosen)",
      wholeNumber(0, 0xffffffff),
    )
    .option('--enclave-name <name>', "a name (default: the image's file name)")
    .addOption(guestPortsOption())
    .addOption(parentPortsOption())
    .option('--debug-mode', 'with a readable console; documents carry zero PCRs')
    .option('--attach-console', 'stay and print the console; implies --debug-mode')
    .option('--config <file>', "nitro-cli's JSON file with these settings")
    .addOption(acceleratorOption())
    .option('--role <arn>', 'an identity to extend into PCR3, as AWS does with an IAM role')
    .option(
      '--boot-timeout <seconds>',
      'how long the guest may take to boot',
      wholeNumber(1, 3600),
      180,
    )
    .addHelpText(
      'after',
      '\nExample:\n  cloister run-enclave --eif-path hello.eif --memory 256 --cpu-count 1 --guest-ports 5005\n',
    )
    .action(runEnclave)
}

async function runEnclave(options: RunOptions): Promise<void> {
  const request = launchRequest(applyRunConfig(options))
  const enclave = await launch(request)
  printJson(launchJson(enclave.record))
  if (options.attachConsole === true) await attachConsole(request, enclave)
}

/** Starts the enclave and tells a person how; used by the demo too. */
export async function launch(request: LaunchRequest): Promise<RunningEnclave> {
  printProgress('Start allocating memory...')
  const enclave = await startEnclave(request)
  const { cid, memoryMib, cpuIds } = enclave.record
  printProgress(
    `Started enclave with enclave-cid: ${String(cid)}, memory: ${String(memoryMib)} MiB, cpu-ids: [${cpuIds.join(', ')}]`,
  )
  return enclave
}

/** @throws `ERR_CLI_ARGUMENT`, `ERR_KEEPER_MEMORY`, `ERR_KEEPER_CPU`, `ERR_EIF_UNREADABLE` */
export function launchRequest(options: RunOptions): LaunchRequest {
  const { eifPath, memory = DEFAULT_MEMORY_MIB } = options
  if (eifPath === undefined) throw argument("required option '--eif-path <file>' not specified")
  checkInputPath(eifPath, 'ERR_EIF_UNREADABLE')
  const cpuIds = hostCpus(options.cpuIds ?? [])
  return {
    directories: openDirectories(),
    programs: findPrograms(),
    eifPath: resolve(eifPath),
    name: enclaveName(options.enclaveName ?? basename(eifPath).replace(/\.eif$/, '')),
    memoryMib: checkedMemory(memory),
    cpuCount: cpuIds.length > 0 ? cpuIds.length : (options.cpuCount ?? 1),
    cpuIds,
    cid: guestCid(options.enclaveCid ?? 0),
    ports: portsOf(options),
    debug: options.debugMode === true || options.attachConsole === true,
    accelerator: chooseAccelerator(options.accelerator),
    ...(options.role === undefined ? {} : { role: options.role }),
    bootTimeoutMs: options.bootTimeout * 1000,
  }
}

function chooseAccelerator(wanted: RunOptions['accelerator']): Accelerator {
  if (wanted !== 'auto') return wanted
  const { accelerator, reason } = probeAccelerator()
  if (accelerator === 'tcg') printProgress(`${reason}; using TCG (emulation, slower).`)
  return accelerator
}

function checkedMemory(memoryMib: number): number {
  if (memoryMib >= MIN_MEMORY_MIB && memoryMib <= MAX_MEMORY_MIB) return memoryMib
  throw new CloisterError(
    'ERR_KEEPER_MEMORY',
    `--memory ${String(memoryMib)} is outside ${String(MIN_MEMORY_MIB)} to ${String(MAX_MEMORY_MIB)} MiB`,
    { details: { memoryMib } },
  )
}

function enclaveName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name
  throw argument(
    `the enclave name '${name}' has other characters than letters, digits, '.', '_' and '-'`,
  )
}

/** As nitro-cli: 0 to 3 but 0 itself, and the two highest, are nobody's to choose. */
function guestCid(cid: number): number {
  if (cid === 0 || (cid > 3 && cid < 0xffffffff)) return cid
  throw argument(`--enclave-cid ${String(cid)} is reserved`)
}

function hostCpus(ids: readonly string[]): readonly number[] {
  const cpus = ids.map(wholeNumber(0, 4095))
  const missing = cpus.find((id) => !existsSync(`/sys/devices/system/cpu/cpu${String(id)}`))
  if (missing !== undefined) {
    throw new CloisterError('ERR_KEEPER_CPU', `this host has no CPU ${String(missing)}`, {
      details: { cpuIds: cpus },
    })
  }
  if (new Set(cpus).size !== cpus.length) throw argument('--cpu-ids names a CPU twice')
  if (cpus.length > MAX_CPUS) throw argument(`--cpu-ids names more than ${String(MAX_CPUS)} CPUs`)
  return cpus
}

async function attachConsole(
  { directories }: LaunchRequest,
  { record }: RunningEnclave,
): Promise<void> {
  await printConsole(await openConsole(new Registry(directories.runtime), record.id))
}

function argument(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message)
}
