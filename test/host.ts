// A host of its own for a test: private directories, the built CLI, and a check at the end that
// nothing runs or lies around any more.

import { execFile, spawn, type ChildProcess, type ExecFileOptions } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, vi } from 'vitest'
import { commandLine, everyPid } from './fixtures/processes.ts'

const repository = resolve(import.meta.dirname, '..')
const cli = join(repository, 'bundle/cli/main.js')

export interface CliResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Less than a test has, so that its failure names the command. */
const COMMAND_TIMEOUT_MS = 300_000

/** How a command went, whatever that is. */
export function resultOf(
  [program = '', ...words]: readonly string[],
  options: Pick<ExecFileOptions, 'env' | 'cwd'>,
): Promise<CliResult> {
  const limits = { maxBuffer: 2 ** 24, timeout: COMMAND_TIMEOUT_MS } as const
  return new Promise((fulfil) => {
    execFile(program, words, { ...options, ...limits }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      const isLate = error?.killed === true && error.signal === 'SIGTERM'
      const late = `\n${words.join(' ')} was killed after ${String(COMMAND_TIMEOUT_MS)} ms`
      fulfil({ status, stdout, stderr: isLate ? stderr + late : stderr })
    })
  })
}

/** What describe-enclaves prints, as far as tests look at it. */
export interface DescribedEnclave {
  readonly EnclaveName: string
  readonly EnclaveID: string
  readonly ProcessID: number
  readonly EnclaveCID: number
  readonly State: string
  readonly Flags: string
  readonly Measurements: Readonly<Record<string, string>>
  readonly VsockSocket: string
  readonly Processes: Readonly<Record<string, number>>
  readonly End?: {
    readonly First: string
    readonly Reason: string
    readonly ExitCode?: number
    readonly Signal?: string
    readonly LivedMs: number
    readonly RanMs?: number
    readonly PeakMemoryMiB?: number
  }
}

/** Of the enclaves that are started; a test may give others. */
const DEFAULTS = [
  ['--memory', '128'],
  ['--cpu-count', '1'],
  ['--guest-ports', '5005,5006'],
] as const

export class TestHost implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'cloister-host-'))
  readonly state = join(this.directory, 's')
  readonly runtime = join(this.directory, 'r')

  /** The program that its `cloister` is. */
  readonly cli = cli
  readonly #env: NodeJS.ProcessEnv

  /** @param env - What its `cloister` finds in the environment, beside the directories. */
  constructor(env: NodeJS.ProcessEnv = {}) {
    const directories = { CLOISTER_STATE_DIR: this.state, CLOISTER_RUNTIME_DIR: this.runtime }
    this.#env = { ...process.env, ...env, ...directories }
  }

  /** A path in its directory. */
  path(name: string): string {
    return join(this.directory, name)
  }

  /** Runs `cloister` and returns how it went, whatever that is. */
  run(...args: readonly string[]): Promise<CliResult> {
    return resultOf([process.execPath, cli, ...args], { env: this.#env })
  }

  /** Starts `cloister` in a process group of its own, without waiting for it. */
  interruptible(...args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [cli, ...args], {
      env: this.#env,
      stdio: 'ignore',
      detached: true,
    })
  }

  /** Starts `cloister parent -- command`, without waiting for it. */
  parent(...command: readonly string[]): ChildProcess {
    return this.spawn('parent', '--', ...command)
  }

  /** Starts `cloister` with its streams as pipes, without waiting for it. */
  spawn(...args: readonly string[]): ChildProcess {
    return this.spawnUnder([], ...args)
  }

  /** The same by a program that starts it: the words before it. */
  spawnUnder(prefix: readonly string[], ...args: readonly string[]): ChildProcess {
    const [program = '', ...words] = [...prefix, process.execPath, cli, ...args]
    return spawn(program, words, { env: this.#env })
  }

  /** Runs a shell script in which `cloister` is this host's, in its directory. */
  shell(script: string): Promise<CliResult> {
    const cloister = `cloister() { '${process.execPath}' '${cli}' "$@"; }`
    const options = { env: this.#env, cwd: this.directory }
    return resultOf(['bash', '-c', `${cloister}\n${script}`], options)
  }

  /** Runs `cloister`, which must succeed, and returns the JSON it printed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run(...args)
    expect(status, stderr).toBe(0)
    return JSON.parse(stdout) as T
  }

  /**
   * Builds an image of another directory, or of the example app: that one with the kernel that boots in
   * half the time, for tests of the host. The default kernel is in the README's image and in those with
   * a source of their own.
   */
  async build(name: string, ...args: readonly string[]): Promise<string> {
    const file = join(this.directory, `${name}.eif`)
    const source = args.length > 0 ? args : [...helloSource, '--kernel-flavour', 'minimal']
    await this.json('build-enclave', ...source, '--output-file', file)
    return file
  }

  /** Builds an image whose guest never says a word: its start does not end by itself. */
  buildMute(): Promise<string> {
    const cmdline = 'panic=0 rdinit=/nowhere virtio_mmio.device=512@0xfeb00e00:12'
    return this.build('mute', ...helloSource, '--cmdline', cmdline)
  }

  /** Starts an enclave whose ports 5005 and 5006, of the example app and of test guests, are open. */
  async start(eif: string, ...args: readonly string[]): Promise<DescribedEnclave> {
    const missing = DEFAULTS.filter(([option]) => !args.includes(option)).flat()
    const launched = await this.json<{ readonly EnclaveID: string }>(
      ...['run-enclave', '--eif-path', eif, ...missing, ...args],
    )
    return this.describe(launched.EnclaveID)
  }

  list(...args: readonly string[]): Promise<readonly DescribedEnclave[]> {
    return this.json('describe-enclaves', ...args)
  }

  async describe(id: string): Promise<DescribedEnclave> {
    const found = (await this.list('--all')).find(({ EnclaveID }) => EnclaveID === id)
    if (found === undefined) throw new Error(`there is no enclave ${id}`)
    return found
  }

  /** Removes the directories of a host that has started no enclave. */
  discard(): void {
    expect(this.processes()).toEqual([])
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Ends every enclave, and fails when anything of them is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('terminate-enclave', '--all', '--timeout', '0')
    try {
      await vi.waitFor(() => {
        expect(this.processes()).toEqual([])
      }, 20_000)
      expect(this.leftovers()).toEqual([])
    } finally {
      rmSync(this.directory, { recursive: true, force: true })
    }
  }

  /** Command lines of processes that work in this host's directories, or in one of them. */
  processes(directory: string = this.directory): readonly string[] {
    return everyPid()
      .filter((pid) => worksBelow(pid, directory))
      .map((pid) => [String(pid), ...commandLine(pid)].join(' '))
  }

  /** Names and CIDs in use, and files of enclaves that are neither records, journals nor saved consoles. */
  leftovers(): readonly string[] {
    const enclaves = join(this.runtime, 'enclaves')
    const ids = tryReaddir(enclaves)
    const files = ids.flatMap((id) => tryReaddir(join(enclaves, id)).map((file) => join(id, file)))
    const claims = ['names', 'cids'].flatMap((kind) => tryReaddir(join(this.runtime, kind)))
    return [
      ...claims,
      ...files.filter(
        (file) => !/\/(record\.json|journal\.log|console\.log|log(\.1)?\.jsonl)$/.test(file),
      ),
    ]
  }
}

/** QEMU 10.2 or later, which the set-up for tests has put beside the system's. */
export function recentQemu(): string {
  return realpathSync(join(repository, 'build/bin/recent-qemu'))
}

export const helloRootfs = join(repository, 'build/hello/rootfs')
const helloSource = ['--rootfs', helloRootfs, '--entrypoint', '/hello']

/** Whether a process was told of `directory`, works in it, or has a file of it open. */
function worksBelow(pid: number, directory: string): boolean {
  if (pid === process.pid) return false
  const proc = join('/proc', String(pid))
  try {
    if (readFileSync(join(proc, 'environ'), 'latin1').includes(directory)) return true
    const links = [
      join(proc, 'cwd'),
      ...readdirSync(join(proc, 'fd')).map((fd) => join(proc, 'fd', fd)),
    ]
    return links.some((link) => tryReadlink(link).startsWith(directory))
  } catch {
    return false
  }
}

function tryReadlink(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

function tryReaddir(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
