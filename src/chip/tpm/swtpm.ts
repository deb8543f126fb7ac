// One swtpm process over inherited descriptors (swtpm(8) --fd and --ctrl clientfd): there is no
// socket path, nobody else can connect, and it ends with the process that started it.

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { check, CloisterError } from '../../errors.ts'
import { startProcess, type Confinement, type ManagedProcess } from '../../subprocess/index.ts'
import { TPM_CAP_PCRS, TPM_RC_FAILURE } from './constants.ts'
import { execute, type TpmChannel } from './command.ts'
import { concat, u32 } from './marshal.ts'
import { TpmTransport } from './transport.ts'

export interface SwtpmOptions {
  /** Holds tpm2-00.permall; owned by `confinement.uid` when that is given. */
  readonly stateDir: string
  readonly confinement: Confinement
}

const DATA_FD = 3
const CONTROL_FD = 4
const CMD_INIT = concat(u32(2), u32(0))
const CMD_SUCCESS = u32(0)
const CONTROL_TIMEOUT_MS = 10_000
const STOP_TIMEOUT_MS = 2_000
const LAST_WORDS_MS = 50
/** After the tag and the size. */
const RESPONSE_CODE_OFFSET = 6
// libtpms' words when another swtpm has the state directory.
const LOCKED = 'Could not lock access to lockfile'

/**
 * Starts swtpm on a state directory and waits for its first answer.
 * @throws ERR_CHIP_BUSY when another swtpm has the directory, ERR_CHIP_TPM_START otherwise,
 *   ERR_PROCESS_SPAWN when there is no such program.
 */
export async function startSwtpm(options: SwtpmOptions): Promise<Swtpm> {
  const swtpm = new Swtpm(await spawnSwtpm(options))
  try {
    await execute(swtpm, 'GetCapability', {
      parameters: concat(u32(TPM_CAP_PCRS), u32(0), u32(1)),
    })
    return swtpm
  } catch (cause) {
    await swtpm.stop()
    throw await swtpm.startFailure(cause)
  }
}

// The state directory is the working directory, entered before the user is dropped: swtpm needs no
// right to search any directory above it.
function spawnSwtpm({ stateDir, confinement }: SwtpmOptions): Promise<ManagedProcess> {
  return startProcess({
    name: 'swtpm',
    command: [
      ...['swtpm', 'socket', '--tpm2', '--fd', String(DATA_FD)],
      ...['--ctrl', `type=unixio,clientfd=${String(CONTROL_FD)}`],
      ...['--tpmstate', 'dir=.,mode=0600'],
      ...['--flags', 'not-need-init,startup-clear'],
    ],
    confinement,
    cwd: stateDir,
    extraStdio: ['pipe', 'pipe'],
  })
}

/** A running swtpm. Commands go through {@link Swtpm.transmit}; stop it, or it lives on. */
export class Swtpm implements TpmChannel {
  readonly process: ManagedProcess
  readonly #transport: TpmTransport
  readonly #control: Duplex

  constructor(process: ManagedProcess) {
    this.process = process
    const data = process.channel(DATA_FD)
    data.once('close', () => {
      this.#insistOnEnd()
    })
    this.#transport = new TpmTransport(data)
    this.#control = process.channel(CONTROL_FD)
    this.#control.on('error', () => {
      this.#transport.fail(endedError())
    })
    void process.ended.then(() => {
      this.#transport.fail(endedError())
    })
  }

  /**
   * @throws ERR_CHIP_TPM_FAILED when the TPM is in failure mode; swtpm is ended then. Otherwise as
   *   {@link TpmTransport.transmit}.
   */
  async transmit(command: Uint8Array): Promise<Uint8Array> {
    const response = await this.#transport.transmit(command)
    if (responseCode(response) !== TPM_RC_FAILURE) return response
    // What swtpm writes to its standard error may come after its answer.
    await sleep(LAST_WORDS_MS)
    const failure = failed(this.process.lastWords())
    this.#transport.fail(failure)
    throw this.#transport.failure ?? failure
  }

  /** Why it takes no more commands; undefined while it does. */
  get failure(): CloisterError | undefined {
    return this.#transport.failure
  }

  /**
   * Power-cycles the TPM (swtpm control command CMD_INIT): TPM2_Startup must follow.
   * @throws ERR_CHIP_TPM_GONE
   */
  async powerCycle(): Promise<void> {
    const answered = once(this.#control, 'data', {
      signal: AbortSignal.timeout(CONTROL_TIMEOUT_MS),
    })
    this.#control.write(CMD_INIT)
    const died = this.process.ended.then(() => Promise.reject(endedError()))
    const [answer] = (await Promise.race([answered, died])) as [Buffer]
    check(answer.equals(CMD_SUCCESS), 'ERR_CHIP_TPM_GONE', 'swtpm refused to power-cycle the TPM')
  }

  /** Closes its channels, at which swtpm ends, and waits for that. */
  async stop(): Promise<void> {
    this.#control.destroy()
    this.#transport.fail(endedError())
    await this.process.ended
  }

  /** Ends it without waiting for anything it does. Its state may be half written then. */
  async kill(): Promise<void> {
    this.process.kill()
    await this.stop()
  }

  /** Why {@link startSwtpm} failed, told from how the process ended and what it said. */
  async startFailure(cause: unknown): Promise<CloisterError> {
    await this.process.closed
    const { code, signal } = await this.process.ended
    const details = { code, signal, swtpm: this.process.lastWords() }
    return details.swtpm.includes(LOCKED)
      ? new CloisterError('ERR_CHIP_BUSY', 'another swtpm is using the state directory', {
          details,
        })
      : new CloisterError('ERR_CHIP_TPM_START', 'swtpm did not start', { cause, details })
  }

  // Without its channel swtpm ends by itself; one that hangs does not.
  #insistOnEnd(): void {
    const insist = setTimeout(() => {
      this.process.kill()
    }, STOP_TIMEOUT_MS)
    void this.process.ended.then(() => {
      clearTimeout(insist)
    })
  }
}

function responseCode(response: Uint8Array): number {
  return new DataView(response.buffer, response.byteOffset).getUint32(RESPONSE_CODE_OFFSET)
}

function failed(lastWords: string): CloisterError {
  // Among them are dumps of the commands.
  const errors = lastWords.split('\n').filter((line) => /error|fail/i.test(line))
  const reason = errors.slice(0, 2).join('; ') || 'it did not say why'
  return new CloisterError('ERR_CHIP_TPM_FAILED', `the TPM has failed for good: ${reason}`, {
    details: { swtpm: lastWords },
  })
}

function endedError(): CloisterError {
  return new CloisterError('ERR_CHIP_TPM_GONE', 'swtpm has ended')
}
