// The chip of one enclave: a virtual TPM with the image's measurements in it, certified by the host
// chip, answering NSM requests.

import { statfsSync } from 'node:fs'
import {
  chipUser,
  openHostChip,
  LeafRenewal,
  startVirtualTpm,
  type HostChip,
  type Leaf,
  type SoftwareTpm,
} from '../../chip/index.ts'
import type { Measurements } from '../../eif/index.ts'
import {
  createNsm,
  type Measurements as NsmMeasurements,
  type NsmIncident,
  type PcrState,
  type RequestStatistics,
} from '../../nsm/index.ts'
import { tpmDirectory } from '../../enclaves/index.ts'
import type { Part } from '../end-cause.ts'
import type { PartUsers } from './part-users.ts'

/** A TPM's state takes less. */
const FULL_BYTES = 64 * 1024

export interface EnclaveChip extends AsyncDisposable {
  readonly assurance: string
  readonly process: Part
  /** Settles when the first certificate is there; rejects when there is none to be had. */
  readonly certified: Promise<unknown>
  /** Answers one NSM request; never rejects. */
  readonly handle: (request: Uint8Array) => Promise<Uint8Array>
  /** What its NSM was asked so far. */
  readonly statistics: () => readonly RequestStatistics[]
  /** @throws `ERR_CHIP_*` when its TPM does not answer. */
  readonly state: () => Promise<ChipState>
}

/** A chip as it is, for people. */
export interface ChipState {
  readonly pcrs: readonly PcrState[]
  /** Of the certificate that a document would carry. */
  readonly certificate: Pick<Leaf, 'notBefore' | 'notAfter'>
}

export interface ChipRequest {
  readonly stateDirectory: string
  readonly enclaveDirectory: string
  readonly moduleId: string
  readonly measurements: Measurements
  readonly debug: boolean
  /** Extended into PCR3; see AWS's rule for IAM roles. */
  readonly role: string | undefined
  /** Digest of what the guest is configured with, for PCR16. */
  readonly configuration: Uint8Array | undefined
  /** Whom the virtual TPM and the host chip's TPM run as. */
  readonly users: Pick<PartUsers, 'swtpm' | 'chip'>
  readonly report: (incident: NsmIncident) => void
}

/** The host's name, as AWS's instance id: `i-` and 17 hexadecimal digits of the chip's key. */
export async function instanceIdOf(stateDirectory: string): Promise<string> {
  return (await openHostChip(stateDirectory, { confinement: chipUser() })).instanceId
}

/** @throws `ERR_CHIP_*`, `ERR_PROCESS_SPAWN` */
export async function startChip(request: ChipRequest): Promise<EnclaveChip> {
  const host = await openHostChip(request.stateDirectory, { confinement: request.users.chip })
  const tpm = await startVirtualTpm({
    stateDir: tpmDirectory(request.enclaveDirectory),
    confinement: request.users.swtpm,
  })
  try {
    return await launchNsm(request, host, tpm)
  } catch (error) {
    await tpm[Symbol.asyncDispose]()
    throw error
  }
}

async function launchNsm(
  request: ChipRequest,
  host: HostChip,
  tpm: SoftwareTpm,
): Promise<EnclaveChip> {
  const { moduleId, debug, report } = request
  const leaf = new LeafRenewal((at) => host.issueLeaf({ akSpki: tpm.ak.spki, moduleId, at }))
  const measurements = nsmMeasurements(request, host.instanceId)
  const leafAt = leaf.current.bind(leaf)
  const nsm = await createNsm({ tpm, moduleId, measurements, debug, leafAt, report })
  const certified = leafAt(new Date())
  // Reported when the launch awaits it; until then nobody listens.
  certified.catch(() => undefined)
  return {
    assurance: host.assurance,
    process: partOf(tpm, request.enclaveDirectory),
    certified,
    handle: nsm.handle.bind(nsm),
    statistics: () => nsm.statistics,
    state: async () => ({ pcrs: await nsm.pcrs(), certificate: await leafAt(new Date()) }),
    [Symbol.asyncDispose]: () => tpm[Symbol.asyncDispose](),
  }
}

/** A TPM that failed says why itself; swtpm ends after it. */
function partOf(tpm: SoftwareTpm, directory: string): Part {
  const { name, pid, ended } = tpm.process
  const lastWords = (): string => {
    const { failure } = tpm
    const isCause = failure !== undefined && failure.code !== 'ERR_CHIP_TPM_GONE'
    return isCause ? failure.message + diskNote(directory) : tpm.process.lastWords()
  }
  return { name, pid, ended, lastWords }
}

/** swtpm does not say why it could not write its state, and a full disk is the likely reason. */
function diskNote(directory: string): string {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize < FULL_BYTES ? `; no space is left where its state lies, ${directory}` : ''
}

/** The PCRs at launch: the image's, the role's, the host's and the configuration's. */
function nsmMeasurements(request: ChipRequest, instanceId: string): NsmMeasurements {
  const { measurements, role, configuration } = request
  const { pcr0, pcr1, pcr2, pcr8 } = measurements
  return {
    pcr0: pcr0.digest,
    pcr1: pcr1.digest,
    pcr2: pcr2.digest,
    ...(pcr8 === undefined ? {} : { pcr8: pcr8.digest }),
    ...(role === undefined ? {} : { pcr3: role }),
    pcr4: instanceId,
    ...(configuration === undefined ? {} : { pcr16: configuration }),
  }
}
