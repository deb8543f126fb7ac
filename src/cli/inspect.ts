// cloister inspect: everything that is known of one enclave, running or ended: what describe-enclaves
// shows, and its machine, its TPM, its NSM's requests, its processes as the kernel sees them, and what
// its start did.

import { Command, Option } from 'commander'
import {
  askInspection,
  isAlive,
  openDirectories,
  processesOf,
  Registry,
  type EnclaveRecord,
  type EnclaveReport,
  type Inspection,
} from '../enclaves/index.ts'
import { CloisterError, messageOf } from '../errors.ts'
import { processFacts, type ProcessFacts, type ProcessIdentity } from '../subprocess/index.ts'
import { enclaveJson } from './enclave-json.ts'
import {
  enclaveIdOption,
  enclaveNameOption,
  findEnclave,
  type EnclaveFlags,
} from './find-enclave.ts'
import { describeEifFile } from './describe-eif.ts'
import { nsmJson } from './nsm-json.ts'
import { printJson, printProgress } from './print.ts'
import { vsockReports } from './vsock-report.ts'

type Json = Readonly<Record<string, unknown>>

interface InspectFlags extends EnclaveFlags {
  readonly eifPath?: string
}

const NOTES = `
Keys that this user may not see, or that a part of the enclave did not answer for, are left out. Devices are QEMU's
names; Processes are read from /proc. With --eif-path it describes an image, as describe-eif does.

Example:
  cloister inspect hello
`

export function inspectCommand(): Command {
  return new Command('inspect')
    .argument('[enclave]', 'name or id of the enclave')
    .addOption(enclaveIdOption())
    .addOption(enclaveNameOption())
    .addOption(
      new Option('--eif-path <file>', 'describe this enclave image instead').conflicts([
        'enclaveId',
        'enclaveName',
      ]),
    )
    .addHelpText('after', NOTES)
    .action(inspect)
}

async function inspect(wanted: string | undefined, flags: InspectFlags): Promise<void> {
  const others = [flags.eifPath, flags.enclaveId, flags.enclaveName]
  if (wanted !== undefined && others.some((it) => it !== undefined))
    throw new CloisterError('ERR_CLI_ARGUMENT', `give ${wanted} or an option, not both`)
  if (flags.eifPath !== undefined) {
    await describeEifFile(flags.eifPath)
    return
  }
  const registry = new Registry(openDirectories().runtime)
  const record = wanted === undefined ? findEnclave(registry, flags) : registry.find(wanted)
  printJson(await inspectionJson(registry, record))
}

async function inspectionJson(registry: Registry, record: EnclaveRecord): Promise<Json> {
  const [reports, inspection] = await Promise.all([
    vsockReports(registry, [record], { connections: true }),
    isAlive(record) && record.state !== 'STARTING' ? ask(registry, record) : undefined,
  ])
  const report = reports.get(record.id)
  const described = enclaveJson(record, { registry, metadata: true, vsock: report })
  const startedAt = 'startedAt' in record ? record.startedAt : undefined
  return {
    ...described,
    CreatedAt: record.createdAt,
    ...(startedAt !== undefined && { StartedAt: startedAt }),
    ...(isAlive(record) && { ...liveJson(inspection, report), Processes: processesJson(record) }),
  }
}

/** A keeper that hangs, or is of an older version, costs its own keys. */
async function ask(
  registry: Registry,
  { id, description }: EnclaveRecord,
): Promise<Inspection | undefined> {
  try {
    return await askInspection(registry.directory(id))
  } catch (error) {
    printProgress(`The keeper of ${description.name} did not say more: ${messageOf(error)}`)
    return undefined
  }
}

function liveJson(inspection: Inspection | undefined, report: EnclaveReport | undefined): Json {
  const { machine, chip, timeline } = inspection ?? {}
  return {
    ...(machine !== undefined && {
      Machine: {
        Status: machine.status,
        MemoryMiB: machine.memoryBytes / 2 ** 20,
        CPUThreads: machine.cpuThreads,
        Devices: machine.devices,
      },
    }),
    ...(chip !== undefined && {
      Tpm: {
        LockedPcrs: chip.pcrs.filter(({ isLocked }) => isLocked).map(({ index }) => index),
        Pcrs: Object.fromEntries(
          chip.pcrs
            .filter(({ value }) => /[^0]/.test(value))
            .map(({ index, value }) => [`PCR${String(index)}`, value]),
        ),
        Certificate: {
          NotBefore: chip.certificate.notBefore,
          NotAfter: chip.certificate.notAfter,
        },
      },
    }),
    ...(report?.nsm !== undefined && { Nsm: report.nsm.map(nsmJson) }),
    ...(timeline !== undefined && {
      Timeline: timeline.map(({ step, atMs, tookMs }) => {
        return { Step: step, AtMs: atMs, TookMs: tookMs }
      }),
    }),
  }
}

function processesJson(record: EnclaveRecord): readonly Json[] {
  const processes = [{ ...record.keeper, name: 'keeper' }, ...processesOf(record)]
  return processes.map(({ name, ...identity }) => ({ Name: name, ...processJson(identity) }))
}

function processJson(identity: ProcessIdentity): Json {
  const facts = processFacts(identity)
  return facts === undefined ? { ProcessID: identity.pid } : factsJson(facts)
}

function factsJson({ sandbox, ...facts }: ProcessFacts): Json {
  return {
    ProcessID: facts.pid,
    UID: facts.uid,
    GID: facts.gid,
    Threads: facts.threads,
    ...(facts.descriptors !== undefined && { Descriptors: facts.descriptors }),
    ResidentKiB: facts.residentBytes / 1024,
    ...(facts.proportionalBytes !== undefined && {
      ProportionalKiB: facts.proportionalBytes / 1024,
    }),
    CPUSeconds: facts.cpuSeconds,
    Cgroups: facts.cgroups,
    Sandbox: {
      NoNewPrivileges: sandbox.noNewPrivileges,
      Seccomp: sandbox.seccomp,
      SeccompFilters: sandbox.seccompFilters,
      Capabilities: sandbox.capabilities,
      ...(sandbox.ownNamespaces !== undefined && { OwnNamespaces: sandbox.ownNamespaces }),
    },
  }
}
