// run-enclave --config: nitro-cli's JSON file, snake_case keys, instead of the flags. Our own keys
// are parent_ports and guest_ports, written like the flags' values.

import { CloisterError, messageOf } from '../errors.ts'
import { checkPortList } from '../vsock/index.ts'
import { memorySize, readFileArgument, wholeNumber } from './arguments.ts'
import { MAX_CPUS } from '../enclaves/index.ts'
import type { RunOptions } from './run-options.ts'

type Reader = (value: unknown) => Partial<RunOptions>

const keys: Readonly<Record<string, Reader>> = {
  eif_path: (value) => ({ eifPath: as('string', value) }),
  enclave_name: (value) => ({ enclaveName: as('string', value) }),
  enclave_cid: (value) => ({ enclaveCid: whole(0, 0xffffffff, value) }),
  memory_mib: (value) => ({ memory: memorySize(String(as('number', value))) }),
  cpu_count: (value) => ({ cpuCount: whole(1, MAX_CPUS, value) }),
  cpu_ids: (value) => ({ cpuIds: numbers(value) }),
  debug_mode: (value) => ({ debugMode: as('boolean', value) }),
  parent_ports: (value) => ({ parentPorts: checkPortList(as('string', value)) }),
  guest_ports: (value) => ({ guestPorts: checkPortList(as('string', value)) }),
  attach_console: (value) => ({ attachConsole: as('boolean', value) }),
}

/** @throws `ERR_CLI_ARGUMENT` for a flag beside --config, an unknown key or a wrong type, `ERR_VSOCK_PORTS`. */
export function applyRunConfig(options: RunOptions): RunOptions {
  const { config } = options
  if (config === undefined) return options
  const flags = [
    'eifPath',
    'enclaveName',
    'enclaveCid',
    'memory',
    'cpuCount',
    'cpuIds',
    'debugMode',
    'role',
    'parentPorts',
    'guestPorts',
  ] as const
  const clash = flags.find((flag) => options[flag] !== undefined)
  if (clash !== undefined)
    throw argument(`--config excludes every other flag but --attach-console (${clash})`)
  const entries = Object.entries(parse(config))
  if (entries.filter(([key]) => key === 'cpu_count' || key === 'cpu_ids').length > 1)
    throw argument('--config has both cpu_count and cpu_ids')
  const settings = entries.map(([key, value]) => readerOf(key)(value))
  return Object.assign({}, options, ...settings) as RunOptions
}

function parse(path: string): Readonly<Record<string, unknown>> {
  const text = new TextDecoder().decode(readFileArgument('--config', path))
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (cause) {
    throw argument(`${path} is not JSON: ${messageOf(cause)}`)
  }
  throw argument(`${path} is not a JSON object`)
}

function readerOf(key: string): Reader {
  const reader = Object.hasOwn(keys, key) ? keys[key] : undefined
  if (reader === undefined) throw argument(`--config has an unknown key: ${key}`)
  return reader
}

interface Types {
  readonly string: string
  readonly number: number
  readonly boolean: boolean
}

function as<K extends keyof Types>(type: K, value: unknown): Types[K] {
  if (typeof value === type) return value as Types[K]
  throw argument(`--config has ${JSON.stringify(value)} where a ${type} is needed`)
}

function whole(min: number, max: number, value: unknown): number {
  return wholeNumber(min, max)(String(as('number', value)))
}

function numbers(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'number'))
    return value.map(String)
  throw argument('--config has cpu_ids that are not numbers')
}

function argument(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message)
}
