// The host chip: a TPM of the machine whose key certifies the AK of each enclave. Several keepers
// share it, so its swtpm runs only while a certificate is signed; swtpm's own lock on the state
// directory says whose turn it is.

import { setTimeout as sleep } from 'node:timers/promises'
import { X509Certificate } from 'node:crypto'
import { check, CloisterError } from '../errors.ts'
import type { Confinement } from '../subprocess/index.ts'
import type { Assurance } from './certificate.ts'
import { chipUser } from './chip-user.ts'
import {
  checkTpmStatePresent,
  type ChipState,
  confinementOf,
  makeChipOnce,
  readChipState,
} from './chip-state.ts'
import { loadIssuing, signerOf } from './issuing.ts'
import type { Leaf } from './leaf-renewal.ts'
import { openPersistentTpm, type SoftwareTpm } from './software-tpm.ts'
import type { StorageTpm } from './storage-tpm.ts'

export interface LeafRequest {
  /** DER SubjectPublicKeyInfo of the enclave's AK. */
  readonly akSpki: Uint8Array
  readonly moduleId: string
  /** Now. */
  readonly at: Date
}

/** The identity of a host chip, and its one service: certifying the AKs of enclaves. */
export interface HostChip {
  /** `i-<17 hex>`. */
  readonly instanceId: string
  readonly assurance: Assurance
  /** DER root certificate: what a verifier has to trust. */
  readonly rootDer: Uint8Array
  /** DER certificates: root, chip. */
  readonly chain: readonly [Uint8Array, Uint8Array]
  /**
   * Certifies an enclave's AK for three hours.
   * @throws ERR_CHIP_BUSY, ERR_CHIP_STATE_MISSING, ERR_CHIP_STATE_CHANGED,
   *   ERR_CHIP_CERTIFICATE_EXPIRED, ERR_CHIP_KEY_UNSUPPORTED, ERR_CHIP_TPM_…
   */
  issueLeaf(request: LeafRequest): Promise<Leaf>
}

export interface HostChipOptions {
  /**
   * Whom the chip's swtpm runs as. It counts when the chip is made; from then on the owner of
   * `<stateDir>/chip/tpm` does, because several processes use it at once.
   */
  readonly confinement?: Confinement
}

const LEAF_MS = 3 * 60 * 60 * 1000
/** AWS's leaves start 3 s early too. */
const LEAF_EARLY_MS = 3_000
const BUSY_WAIT_MS = 30_000
const BUSY_POLL_MS = 15

/**
 * Opens the machine's chip, making it and its authority on first use, in any number of processes.
 * @throws ERR_CHIP_STATE_MISSING, ERR_CHIP_STATE_INVALID, ERR_CHIP_TPM_START, ERR_PROCESS_SPAWN
 */
export async function openHostChip(
  stateDir: string,
  { confinement = {} }: HostChipOptions = {},
): Promise<HostChip> {
  await makeChipOnce(stateDir, confinement)
  const state = await readChipState(stateDir)
  await checkTpmStatePresent(state.tpmDir)
  return {
    instanceId: state.instanceId,
    assurance: state.assurance,
    rootDer: state.root,
    chain: [state.root, state.certificate],
    issueLeaf: (request) => issueLeaf(state, request),
  }
}

/**
 * The chip's TPM as a place for secrets. Opening makes the chip if it is missing; see {@link openHostChip}.
 * @throws as {@link openHostChip}
 */
export async function hostChipStorage(stateDir: string): Promise<StorageTpm> {
  await makeChipOnce(stateDir, chipUser())
  const state = await readChipState(stateDir)
  await checkTpmStatePresent(state.tpmDir)
  return async (work) => {
    await using tpm = await openChipTpm(state)
    return await work(tpm.channel)
  }
}

async function issueLeaf(state: ChipState, request: LeafRequest): Promise<Leaf> {
  const notBefore = new Date(request.at.getTime() - LEAF_EARLY_MS)
  const notAfter = new Date(request.at.getTime() + LEAF_MS)
  checkWindow(state, notBefore, notAfter)
  const { issueCertificate } = await loadIssuing()
  await using tpm = await openChipTpm(state)
  const certificate = await issueCertificate(
    {
      role: 'enclave',
      subject: { commonName: request.moduleId, organizationalUnit: state.assurance },
      subjectSpki: request.akSpki,
      ...{ issuer: state.subject, issuerSpki: state.spki, notBefore, notAfter },
    },
    await signerOf(tpm),
  )
  return { certificate, cabundle: [state.root, state.certificate], notBefore, notAfter }
}

function checkWindow({ certificate }: ChipState, notBefore: Date, notAfter: Date): void {
  const { validFrom, validTo } = new X509Certificate(certificate)
  const inside = new Date(validFrom) <= notBefore && notAfter <= new Date(validTo)
  check(inside, 'ERR_CHIP_CERTIFICATE_EXPIRED', 'the chip certificate is not valid at this time', {
    details: { validFrom, validTo, at: notBefore.toISOString() },
  })
}

/** The chip's TPM, once it is free and only if it is the TPM that was pinned. */
async function openChipTpm(state: ChipState): Promise<SoftwareTpm> {
  const tpm = await openWhenFree(state.tpmDir)
  if (Buffer.from(tpm.ak.name).equals(state.akName)) return tpm
  await tpm[Symbol.asyncDispose]()
  throw new CloisterError('ERR_CHIP_STATE_CHANGED', 'the TPM state belongs to another TPM', {
    details: { expected: hex(state.akName), actual: hex(tpm.ak.name) },
  })
}

async function openWhenFree(stateDir: string): Promise<SoftwareTpm> {
  const deadline = Date.now() + BUSY_WAIT_MS
  for (;;) {
    await checkTpmStatePresent(stateDir)
    try {
      return await openPersistentTpm({ stateDir, confinement: await confinementOf(stateDir) })
    } catch (error) {
      const busy = error instanceof CloisterError && error.code === 'ERR_CHIP_BUSY'
      if (!busy || Date.now() > deadline) throw error
    }
    await sleep(BUSY_POLL_MS * (1 + Math.random()))
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
