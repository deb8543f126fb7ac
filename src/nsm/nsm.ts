// The Nitro Secure Module of one enclave, served from its virtual TPM: requests in, responses out,
// one at a time. Whatever the guest sends, it gets a CBOR response.

import { signerOf, type Leaf, type P384Signer, type SoftwareTpm } from '../chip/index.ts'
import { encodeDocument, encodePayload, signPayload } from './attestation-document.ts'
import { PcrRegisters, type LaunchMeasurements, type PcrState } from './pcr-registers.ts'
import {
  type AttestationFields,
  MAX_RESPONSE_BYTES,
  type NsmErrorName,
  type NsmRequest,
  type NsmResponse,
  RANDOM_BYTES,
  refuse,
} from './protocol.ts'
import { decodeRequest } from './request.ts'
import { encodeResponse } from './response.ts'
import { RequestCounter, type RequestStatistics } from './statistics.ts'
import { TpmEvidence } from './tpm-evidence.ts'

/** Something the host should know about; the guest is told less. */
export type NsmIncident =
  /** The guest got InternalError. */
  | { readonly type: 'fault'; readonly request: NsmRequest['type']; readonly error: unknown }
  /** A document left without TPM evidence, which did not fit; see {@link createNsm}. */
  | { readonly type: 'evidence-omitted'; readonly documentBytes: number }

export interface NsmOptions extends LaunchMeasurements {
  /** Fresh: nothing measured into it yet. */
  readonly tpm: SoftwareTpm
  readonly moduleId: string
  /** A certificate for the TPM's AK that is valid at the given time. */
  readonly leafAt: (at: Date) => Promise<Leaf>
  readonly report?: (incident: NsmIncident) => void
}

export interface Nsm {
  /** Handles one request of /dev/nsm: CBOR in, CBOR out, at most 12288 bytes. Never throws. */
  handle(request: Uint8Array): Promise<Uint8Array>
  /** What was asked of it so far. */
  readonly statistics: readonly RequestStatistics[]
  /**
   * Its PCRs as they are, between two requests.
   *
   * @throws ERR_CHIP_TPM_…
   */
  pcrs(): Promise<readonly PcrState[]>
}

/**
 * Measures the image, and the configuration where there is one, into the TPM, locks PCR 0-15 (and 16),
 * and serves the NSM.
 *
 * A document carries TPM evidence whole or not at all. Each certified index takes 436 bytes of the
 * 12288 that /dev/nsm can carry: ten of PCR 16-31 written and locked fit with three full fields;
 * all sixteen fit with 384 bytes in the fields together. Beyond that AWS's rules still ask for a
 * document, so it goes without evidence, an incident is reported, and a verifier that requires
 * evidence refuses it.
 * @throws ERR_CHIP_TPM_… when the TPM fails while measuring
 */
export async function createNsm(options: NsmOptions): Promise<Nsm> {
  const registers = await PcrRegisters.launch(options.tpm, options)
  const evidence = new TpmEvidence(options.tpm, registers, options.moduleId)
  await evidence.certifyLocked()
  return new TpmNsm(options, registers, evidence)
}

class TpmNsm implements Nsm {
  readonly #options: NsmOptions
  readonly #registers: PcrRegisters
  readonly #evidence: TpmEvidence
  readonly #counter = new RequestCounter()
  #signer: Promise<P384Signer> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: NsmOptions, registers: PcrRegisters, evidence: TpmEvidence) {
    this.#options = options
    this.#registers = registers
    this.#evidence = evidence
  }

  get statistics(): readonly RequestStatistics[] {
    return this.#counter.statistics
  }

  handle(bytes: Uint8Array): Promise<Uint8Array> {
    const arrivedAt = performance.now()
    const request = decodeRequest(bytes)
    return this.#inTurn(async () => {
      const answered = request.type === 'Error' ? answerOf(request) : await this.#answer(request)
      const { encoded, result } = answered
      const name = request.type === 'Error' ? 'Invalid' : request.type
      this.#counter.count(name, result, (performance.now() - arrivedAt) / 1000)
      return encoded
    })
  }

  pcrs(): Promise<readonly PcrState[]> {
    return this.#inTurn(() => this.#registers.state())
  }

  /** One after the other: a TPM does one thing at a time. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #answer(request: NsmRequest): Promise<Answer> {
    try {
      return answerOf(await this.#respond(request))
    } catch (error) {
      this.#options.report?.({ type: 'fault', request: request.type, error })
      return answerOf(refuse('InternalError'))
    }
  }

  async #respond(request: NsmRequest): Promise<NsmResponse> {
    switch (request.type) {
      case 'DescribeNSM':
        return {
          type: 'DescribeNSM',
          moduleId: this.#options.moduleId,
          lockedPcrs: this.#registers.locked,
        }
      case 'DescribePCR':
        return {
          type: 'DescribePCR',
          lock: this.#registers.isLocked(request.index),
          data: await this.#registers.read(request.index),
        }
      case 'ExtendPCR':
        return this.#extend(request.index, request.data)
      case 'LockPCR':
        return this.#lock(request.index)
      case 'LockPCRs':
        return this.#lockRange(request.range)
      case 'Attestation':
        return this.#attest(request)
      case 'GetRandom':
        return { type: 'GetRandom', random: await this.#options.tpm.getRandom(RANDOM_BYTES) }
    }
  }

  async #extend(index: number, data: Uint8Array): Promise<NsmResponse> {
    if (this.#registers.isLocked(index)) return refuse('ReadOnlyIndex')
    return { type: 'ExtendPCR', data: await this.#registers.extend(index, data) }
  }

  async #lock(index: number): Promise<NsmResponse> {
    if (this.#registers.isLocked(index)) return refuse('ReadOnlyIndex')
    await this.#registers.lock(index)
    await this.#evidence.certifyLocked()
    return { type: 'LockPCR' }
  }

  async #lockRange(end: number): Promise<NsmResponse> {
    await this.#registers.lockRange(end)
    await this.#evidence.certifyLocked()
    return { type: 'LockPCRs' }
  }

  async #attest(fields: AttestationFields): Promise<NsmResponse> {
    const timestamp = new Date()
    const leaf = await this.#options.leafAt(timestamp)
    const { moduleId } = this.#options
    const pcrs = new Map<number, Uint8Array>()
    for (const pcr of this.#registers.locked) pcrs.set(pcr, await this.#registers.read(pcr))
    const payload = encodePayload({ ...fields, moduleId, timestamp, pcrs, leaf })
    return { type: 'Attestation', document: await this.#sign(payload) }
  }

  #signing(): Promise<P384Signer> {
    this.#signer ??= signerOf(this.#options.tpm)
    return this.#signer
  }

  async #sign(payload: Uint8Array): Promise<Uint8Array> {
    const signer = await this.#signing()
    const [signed, evidence] = await Promise.all([
      signPayload(payload, signer),
      this.#evidence.forPayload(payload),
    ])
    const document = encodeDocument(signed, evidence)
    const fits = encodeResponse({ type: 'Attestation', document }).length <= MAX_RESPONSE_BYTES
    if (fits) return document
    this.#options.report?.({ type: 'evidence-omitted', documentBytes: document.length })
    return encodeDocument(signed, undefined)
  }
}

interface Answer {
  readonly encoded: Uint8Array
  readonly result: 'Success' | NsmErrorName
}

/** What does not fit into /dev/nsm is refused. */
function answerOf(response: NsmResponse): Answer {
  const encoded = encodeResponse(response)
  if (encoded.length > MAX_RESPONSE_BYTES) return answerOf(refuse('BufferTooSmall'))
  return { encoded, result: response.type === 'Error' ? response.error : 'Success' }
}
