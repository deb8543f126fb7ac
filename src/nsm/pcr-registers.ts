// The NSM's 32 PCRs on a TPM. 0-15 without 3 and 4 are TPM PCRs, which have no lock: nobody but
// this process has the TPM's channel, and it does not extend a locked one. The others are NV EXTEND
// indices, which take data of any length and which the TPM itself locks.

import { isNvPcr } from '@cloister/attestation/tpm'
import type { SoftwareTpm } from '../chip/index.ts'
import { PCR_COUNT } from './protocol.ts'

/** What was measured of an image, before it starts. */
export interface Measurements {
  /** 48-byte SHA-384 content digests; the PCR becomes `SHA384(zeros || digest)`. */
  readonly pcr0: Uint8Array
  readonly pcr1: Uint8Array
  readonly pcr2: Uint8Array
  /** The digest of the signing certificate, when the image is signed. */
  readonly pcr8?: Uint8Array
  /** Identity strings, 1 to 1024 bytes of UTF-8; the PCR becomes `SHA384(zeros || text)`. */
  readonly pcr3?: string
  readonly pcr4?: string
  /** 48 bytes: the digest of what the guest is configured with. PCR16 is locked then. */
  readonly pcr16?: Uint8Array
}

export interface LaunchMeasurements {
  readonly measurements: Measurements
  /** Leaves PCR0, 1 and 2 at zero, so that no document passes for a production one. */
  readonly debug: boolean
}

/** One PCR as it is. */
export interface PcrState {
  readonly index: number
  /** 48 bytes. */
  readonly value: Uint8Array
  readonly isLocked: boolean
}

/** NSM PCRs that are NV indices. */
const NV_PCRS: readonly number[] = range(0, PCR_COUNT).filter(isNvPcr)
const LOCKED_AT_LAUNCH = 16
/** The first PCR that AWS leaves to the app. */
const CONFIGURATION = 16
const ZERO = new Uint8Array(48)

/**
 * Reads, extends and locks PCRs 0 to 31. The caller checks the number, and the lock before it
 * extends.
 */
export class PcrRegisters {
  readonly #tpm: SoftwareTpm
  readonly #locked = new Set<number>()
  /** A locked PCR never changes again. */
  readonly #final = new Map<number, Uint8Array>()
  /** Locked NV indices that hold something. */
  readonly #certifiable = new Set<number>()

  private constructor(tpm: SoftwareTpm) {
    this.#tpm = tpm
  }

  /** Measures into a fresh TPM and locks 0-15, and PCR16 where something was measured into it. */
  static async launch(tpm: SoftwareTpm, launch: LaunchMeasurements): Promise<PcrRegisters> {
    const registers = new PcrRegisters(tpm)
    for (const pcr of NV_PCRS) await tpm.defineNv(pcr)
    await registers.#measure(launch)
    await registers.lockRange(LOCKED_AT_LAUNCH)
    if (launch.measurements.pcr16 !== undefined) await registers.lock(CONFIGURATION)
    return registers
  }

  /** Ascending. */
  get locked(): readonly number[] {
    return range(0, PCR_COUNT).filter((pcr) => this.#locked.has(pcr))
  }

  isLocked(pcr: number): boolean {
    return this.#locked.has(pcr)
  }

  /** What the TPM can certify: locked NV indices that hold something. */
  get certifiable(): readonly number[] {
    return this.locked.filter((pcr) => this.#certifiable.has(pcr))
  }

  /** The 48-byte value. */
  async read(pcr: number): Promise<Uint8Array> {
    return this.#final.get(pcr) ?? (await this.#readFromTpm(pcr))
  }

  /** Every PCR that is locked or holds something, ascending. */
  async state(): Promise<readonly PcrState[]> {
    const states: PcrState[] = []
    for (const index of range(0, PCR_COUNT)) {
      const [value, isLocked] = [await this.read(index), this.isLocked(index)]
      if (isLocked || value.some((byte) => byte !== 0)) states.push({ index, value, isLocked })
    }
    return states
  }

  /** `new = SHA384(old || data)`; gives the new value. For an unlocked PCR (they are all NV). */
  async extend(pcr: number, data: Uint8Array): Promise<Uint8Array> {
    await this.#tpm.extendNv(pcr, data)
    return this.#readFromTpm(pcr)
  }

  /** For good. Locking a locked PCR changes nothing. */
  async lock(pcr: number): Promise<void> {
    if (this.#locked.has(pcr)) return
    if (NV_PCRS.includes(pcr)) await this.#lockNv(pcr)
    this.#final.set(pcr, await this.#readFromTpm(pcr))
    this.#locked.add(pcr)
  }

  /** Locks every PCR below `end`. */
  async lockRange(end: number): Promise<void> {
    for (const pcr of range(0, end)) await this.lock(pcr)
  }

  async #measure({ measurements, debug }: LaunchMeasurements): Promise<void> {
    const { pcr0, pcr1, pcr2, pcr3, pcr4, pcr8, pcr16 } = measurements
    const image = debug ? [] : [pcr0, pcr1, pcr2]
    for (const [pcr, digest] of image.entries()) await this.#tpm.extend(pcr, digest)
    if (pcr8) await this.#tpm.extend(8, pcr8)
    if (pcr3 !== undefined) await this.extend(3, Buffer.from(pcr3))
    if (pcr4 !== undefined) await this.extend(4, Buffer.from(pcr4))
    if (pcr16 !== undefined) await this.extend(CONFIGURATION, pcr16)
  }

  async #lockNv(pcr: number): Promise<void> {
    await this.#tpm.lockNv(pcr)
    if (await this.#tpm.readNv(pcr)) this.#certifiable.add(pcr)
  }

  async #readFromTpm(pcr: number): Promise<Uint8Array> {
    if (NV_PCRS.includes(pcr)) return (await this.#tpm.readNv(pcr)) ?? ZERO
    const values = await this.#tpm.readPcrs([pcr])
    return values.get(pcr) ?? ZERO
  }
}

function range(start: number, end: number): readonly number[] {
  return Array.from({ length: end - start }, (_, index) => start + index)
}
