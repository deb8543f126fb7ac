// The record of an enclave that starts, and of one that has started.

import type { Eif } from '../eif/index.ts'
import {
  type LaunchFacts,
  type LaunchRequest,
  type RunningRecord,
  type StartingRecord,
} from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import { stringifyJson } from '../exact-json.ts'
import { identifyProcess, type ProcessIdentity } from '../subprocess/index.ts'
import type { NamedProcess } from './end-cause.ts'
import type { Enclave } from './enclave.ts'
import { shownMeasurements } from './measurement-texts.ts'

/** The record of an enclave that starts, with this process as its keeper. */
export function startingRecord({ description }: LaunchRequest, id: string): StartingRecord {
  return {
    version: 2,
    id,
    keeper: ourselves(),
    state: 'STARTING',
    createdAt: new Date().toISOString(),
    description,
  }
}

/**
 * The record of an enclave that runs: as it started, and what is known of it now. Measurements are in
 * hexadecimal; name, version and metadata are cut to what a record holds.
 */
export function runningRecord(
  record: StartingRecord,
  { eif, assurance, processes, limits, network }: Enclave,
): RunningRecord {
  const { imageName, imageVersion } = eif.metadata
  const published = network?.published ?? []
  return {
    ...record,
    state: 'RUNNING',
    startedAt: new Date().toISOString(),
    processes: identifyAll(processes),
    assurance,
    limits,
    ...(published.length > 0 && { published }),
    image: {
      measurements: shownMeasurements(eif),
      name: imageName.slice(0, MAX_LABEL_CHARACTERS),
      version: imageVersion.slice(0, MAX_LABEL_CHARACTERS),
      metadata: boundedMetadata(eif),
    },
  }
}

/** What a record holds of an image's name and version at most: both are labels, up to 1 MiB long. */
const MAX_LABEL_CHARACTERS = 1024

/** What a record holds of an image's metadata at most, as JSON; nitro-cli's own take some hundred. */
const MAX_METADATA_CHARACTERS = 64 * 1024

/** Longer metadata are left out of the record; `describe-eif` shows them. */
function boundedMetadata({ metadata }: Eif): Eif['metadata'] | null {
  return stringifyJson(metadata).length <= MAX_METADATA_CHARACTERS ? metadata : null
}

/** Those that still run. */
export function identifyAll(processes: readonly NamedProcess[]): LaunchFacts['processes'] {
  return processes.flatMap(identify)
}

function identify({ name, pid }: NamedProcess): LaunchFacts['processes'] {
  const identity = identifyProcess(pid)
  return identity === undefined ? [] : [{ ...identity, name }]
}

function ourselves(): ProcessIdentity {
  const identity = identifyProcess(process.pid)
  if (identity === undefined) throw new CloisterError('ERR_INTERNAL', '/proc is not mounted')
  return identity
}
