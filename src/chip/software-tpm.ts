// A TPM with its attestation key: one swtpm, alive from start to dispose. An enclave's virtual TPM
// is made in an empty directory and its state is destroyed with it, so no TPM ever comes back with
// the key of an enclave that has ended; the host chip's state stays.

import { chmod, chown, mkdir, readdir, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { check, type CloisterError } from '../errors.ts'
import type { Confinement, ManagedProcess } from '../subprocess/index.ts'
import { createAttestationKey, type AttestationKey } from './tpm/attestation-key.ts'
import type { TpmChannel } from './tpm/command.ts'
import {
  certifyNvPcr,
  defineNvPcr,
  extendNvPcr,
  lockNvPcr,
  type NvCertification,
  readNvPcr,
} from './tpm/nv-pcr.ts'
import { extendPcr, readPcrs, type PcrValues } from './tpm/pcr.ts'
import { quotePcrs, type SignedAttestation } from './tpm/quote.ts'
import { getRandom } from './tpm/random.ts'
import { signMessage } from './tpm/signing.ts'
import { manufacture, shutdown } from './tpm/startup.ts'
import { startSwtpm, type Swtpm } from './tpm/swtpm.ts'

export interface VirtualTpmOptions {
  /** Made 0700, and given to `confinement.uid`; must be absent or empty. Removed at dispose. */
  readonly stateDir: string
  readonly confinement?: Confinement
}

interface TpmState extends Required<VirtualTpmOptions> {
  readonly destroyAtDispose: boolean
}

/**
 * Makes a new TPM with the SHA-384 bank alone, and its attestation key.
 * @throws ERR_CHIP_STATE_EXISTS, ERR_CHIP_TPM_START, ERR_PROCESS_SPAWN
 */
export async function startVirtualTpm(options: VirtualTpmOptions): Promise<SoftwareTpm> {
  return manufactureTpm(options, true)
}

/** Like {@link startVirtualTpm}, but the state stays when the TPM is stopped. */
export async function manufacturePersistentTpm(options: VirtualTpmOptions): Promise<SoftwareTpm> {
  return manufactureTpm(options, false)
}

/** Starts the TPM whose state is in the directory. Says nothing about which TPM that is. */
export async function openPersistentTpm(
  options: Required<VirtualTpmOptions>,
): Promise<SoftwareTpm> {
  const swtpm = await startSwtpm(options)
  return attachTpm(swtpm, { ...options, destroyAtDispose: false }, () => Promise.resolve())
}

async function manufactureTpm(
  { stateDir, confinement = {} }: VirtualTpmOptions,
  destroyAtDispose: boolean,
): Promise<SoftwareTpm> {
  await makeStateDirectory(stateDir, confinement)
  try {
    const swtpm = await startSwtpm({ stateDir, confinement })
    return await attachTpm(swtpm, { stateDir, confinement, destroyAtDispose }, manufacture)
  } catch (error) {
    await rm(stateDir, { recursive: true, force: true })
    throw error
  }
}

async function attachTpm(
  swtpm: Swtpm,
  state: TpmState,
  prepare: (swtpm: Swtpm) => Promise<void>,
): Promise<SoftwareTpm> {
  try {
    await prepare(swtpm)
    return new SoftwareTpm(swtpm, await createAttestationKey(swtpm), state)
  } catch (error) {
    await swtpm.stop()
    throw error
  }
}

async function makeStateDirectory(stateDir: string, { uid }: Confinement): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  const found = await readdir(stateDir)
  check(found.length === 0, 'ERR_CHIP_STATE_EXISTS', `${stateDir} is not empty`, {
    details: { stateDir },
  })
  await chmod(stateDir, 0o700)
  if (uid !== undefined) await chown(stateDir, uid, uid)
}

const SHUTDOWN_WAIT_MS = 1_000

/** A running TPM. Every method throws ERR_CHIP_TPM_GONE once its swtpm has died. */
export class SoftwareTpm implements AsyncDisposable {
  /** Its swtpm. */
  readonly process: ManagedProcess
  readonly ak: AttestationKey
  readonly #swtpm: Swtpm
  readonly #state: TpmState
  // Signing takes several commands and one of three object slots: one message at a time.
  #signing: Promise<unknown> = Promise.resolve()
  #disposed: Promise<void> | undefined

  constructor(swtpm: Swtpm, ak: AttestationKey, state: TpmState) {
    this.#swtpm = swtpm
    this.#state = state
    this.ak = ak
    this.process = swtpm.process
  }

  /** Why it takes no more commands; undefined while it does. */
  get failure(): CloisterError | undefined {
    return this.#swtpm.failure
  }

  /** For commands that this class has no method for. */
  get channel(): TpmChannel {
    return this.#swtpm
  }

  /** `new = SHA384(old || digest)` in a TPM PCR; 48-byte digest. */
  extend(pcr: number, digest: Uint8Array): Promise<void> {
    return extendPcr(this.#swtpm, pcr, digest)
  }

  /** The 48-byte values of TPM PCRs. */
  readPcrs(pcrs: readonly number[]): Promise<PcrValues> {
    return readPcrs(this.#swtpm, pcrs)
  }

  /** Makes the NV EXTEND index that stands for an NSM PCR. */
  defineNv(pcr: number): Promise<void> {
    return defineNvPcr(this.#swtpm, pcr)
  }

  /** `new = SHA384(old || data)` in an NV index; 1 to 1024 bytes. */
  extendNv(pcr: number, data: Uint8Array): Promise<void> {
    return extendNvPcr(this.#swtpm, pcr, data)
  }

  /** Locks an NV index until the TPM ends. */
  lockNv(pcr: number): Promise<void> {
    return lockNvPcr(this.#swtpm, pcr)
  }

  /** The 48-byte value of an NV index; `undefined` when it was never written. */
  readNv(pcr: number): Promise<Uint8Array | undefined> {
    return readNvPcr(this.#swtpm, pcr)
  }

  /** A signed statement of what an NV index holds; it must have been written. */
  certifyNv(pcr: number, qualifyingData: Uint8Array): Promise<NvCertification> {
    return certifyNvPcr(this.#swtpm, this.ak, { pcr, qualifyingData })
  }

  /** A signed statement of what TPM PCRs hold. */
  quote(pcrs: readonly number[], qualifyingData: Uint8Array): Promise<SignedAttestation> {
    return quotePcrs(this.#swtpm, this.ak, { pcrs, qualifyingData })
  }

  /**
   * ECDSA with SHA-384 over the message, `r || s`, 96 bytes.
   * @throws ERR_CHIP_TPM_RC when the message begins like an attestation of the TPM.
   */
  sign(message: Uint8Array): Promise<Uint8Array> {
    const signed = this.#signing.then(() => signMessage(this.#swtpm, this.ak, message))
    this.#signing = signed.catch(() => undefined)
    return signed
  }

  getRandom(length: number): Promise<Uint8Array> {
    return getRandom(this.#swtpm, length)
  }

  /**
   * Ends swtpm and waits until it is gone: at once when the state is destroyed, else after the TPM was
   * shut down in order. Never fails.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose()
    return this.#disposed
  }

  async #dispose(): Promise<void> {
    if (this.#state.destroyAtDispose) {
      await this.#swtpm.kill()
      await rm(this.#state.stateDir, { recursive: true, force: true })
      return
    }
    // A TPM that died already cannot be shut down, and needs not; one that hangs is not waited for.
    const shutDown = shutdown(this.#swtpm).catch(() => undefined)
    await Promise.race([shutDown, sleep(SHUTDOWN_WAIT_MS, undefined, { ref: false })])
    await this.#swtpm.stop()
  }
}
