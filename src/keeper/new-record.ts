// The record of an enclave that starts, and of one that has started.

import type { Eif } from '../eif/index.ts'
import { CloisterError } from '../errors.ts'
import { identifyProcess, type ProcessIdentity } from '../subprocess/index.ts'
import type { Enclave } from './enclave.ts'
import type { Part } from './end-cause.ts'
import type { LaunchRequest } from '../enclaves/index.ts'
import type { EnclaveRecord, Measurements } from '../enclaves/index.ts'

export function startingRecord(
  request: LaunchRequest,
  { id, name, cid }: Pick<EnclaveRecord, 'id' | 'name' | 'cid'>,
): EnclaveRecord {
  return {
    version: 1,
    id,
    name,
    cid,
    keeper: ourselves(),
    processes: [],
    state: 'STARTING',
    createdAt: new Date().toISOString(),
    eifPath: request.eifPath,
    memoryMib: request.memoryMib,
    cpuCount: request.cpuCount,
    cpuIds: request.cpuIds,
    debug: request.debug,
    accelerator: request.accelerator,
    assurance: '',
    measurements: {},
    imageName: '',
    imageVersion: '',
    metadata: null,
  }
}

export function runningRecord(
  record: EnclaveRecord,
  { eif, assurance, parts }: Enclave,
): EnclaveRecord {
  const { imageName, imageVersion } = eif.metadata
  return {
    ...record,
    state: 'RUNNING',
    processes: parts.flatMap(identify),
    assurance,
    measurements: shownMeasurements(eif),
    imageName,
    imageVersion,
    metadata: eif.metadata,
  }
}

/** As nitro-cli, which shows the image's values in debug mode too, where documents carry zeros. */
function shownMeasurements({ measurements }: Eif): Measurements {
  const { pcr0, pcr1, pcr2, pcr8 } = measurements
  const shown = {
    PCR0: pcr0,
    PCR1: pcr1,
    PCR2: pcr2,
    ...(pcr8 === undefined ? {} : { PCR8: pcr8 }),
  }
  return Object.fromEntries(
    Object.entries(shown).map(([name, { pcr }]) => [name, Buffer.from(pcr).toString('hex')]),
  )
}

function identify({ name, pid }: Part): readonly (ProcessIdentity & { name: string })[] {
  const identity = identifyProcess(pid)
  return identity === undefined ? [] : [{ ...identity, name }]
}

function ourselves(): ProcessIdentity {
  const identity = identifyProcess(process.pid)
  if (identity === undefined) throw new CloisterError('ERR_INTERNAL', '/proc is not mounted')
  return identity
}
