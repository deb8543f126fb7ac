// run-enclave --config: nitro-cli's JSON file, snake_case keys, instead of the flags. As there, unknown
// keys and null are passed over. Our own keys are parent_ports, guest_ports, vsock and config_data,
// written like the flags' values.

import { CloisterError, messageOf } from '../errors.ts'
import { checkPortList, vsockKinds, type VsockKind } from '../vsock/index.ts'
import { MAX_CPU_COUNT, memorySize, readFileArgument, wholeNumber } from './arguments.ts'
import type { RunOptions } from './run-options.ts'

type Reader = (value: unknown) => Partial<RunOptions>

const keys: Readonly<Record<string, Reader>> = {
  eif_path: (value) => ({ eifPath: as('string', value) }),
  enclave_name: (value) => ({ enclaveName: as('string', value) }),
  enclave_cid: (value) => ({ enclaveCid: whole(0, 0xffffffff, value) }),
  memory_mib: (value) => ({ memory: memorySize(String(as('number', value))) }),
  cpu_count: (value) => ({ cpuCount: whole(1, MAX_CPU_COUNT, value) }),
  cpu_ids: (value) => ({ cpuIds: numbers(value) }),
  debug_mode: (value) => ({ debugMode: as('boolean', value) }),
  parent_ports: (value) => ({ parentPorts: checkPortList(as('string', value)) }),
  vsock: (value) => ({ vsock: vsockKind(value) }),
  guest_ports: (value) => ({ guestPorts: checkPortList(as('string', value)) }),
  config_data: (value) => ({ configData: as('string', value) }),
  attach_console: (value) => ({ attachConsole: as('boolean', value) }),
}

/**
 * @throws `ERR_CLI_ARGUMENT` for a flag beside --config; `ERR_FILE_INPUT`, `ERR_CONFIG_FORMAT`,
 * `ERR_CONFIG_CONFLICT` and `ERR_CONFIG_INCOMPLETE` for the file.
 */
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
    'vsock',
    'configData',
  ] as const
  const clash = flags.find((flag) => options[flag] !== undefined)
  if (clash !== undefined) {
    const message = `--config excludes every other flag but --attach-console (${clash})`
    throw new CloisterError('ERR_CLI_ARGUMENT', message)
  }
  const settings = read(parse(config))
  if (settings.cpuCount !== undefined && settings.cpuIds !== undefined)
    throw new CloisterError('ERR_CONFIG_CONFLICT', `${config} has both cpu_count and cpu_ids`)
  if (settings.eifPath === undefined)
    throw new CloisterError('ERR_CONFIG_INCOMPLETE', `${config} has no eif_path`)
  return { ...options, ...settings }
}

function parse(path: string): Readonly<Record<string, unknown>> {
  const text = new TextDecoder().decode(readFileArgument('--config', path))
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (cause) {
    throw malformed(`${path} is not JSON: ${messageOf(cause)}`, cause)
  }
  throw malformed(`${path} is not a JSON object`)
}

function read(json: Readonly<Record<string, unknown>>): Partial<RunOptions> {
  const settings = Object.entries(json).map(([key, value]) => {
    const reader = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (reader === undefined || value === null) return {}
    try {
      return reader(value)
    } catch (cause) {
      throw malformed(`--config: ${key}: ${messageOf(cause)}`, cause)
    }
  })
  return Object.assign({}, ...settings) as Partial<RunOptions>
}

interface Types {
  readonly string: string
  readonly number: number
  readonly boolean: boolean
}

function as<K extends keyof Types>(type: K, value: unknown): Types[K] {
  if (typeof value === type) return value as Types[K]
  throw new TypeError(`${JSON.stringify(value)} where a ${type} is needed`)
}

function whole(min: number, max: number, value: unknown): number {
  return wholeNumber(min, max)(String(as('number', value)))
}

function vsockKind(value: unknown): VsockKind {
  const kind = vsockKinds.find((known) => known === value)
  if (kind !== undefined) return kind
  throw new TypeError(`${JSON.stringify(value)} is not one of ${vsockKinds.join(', ')}`)
}

function numbers(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0))
    return value.map(String)
  throw new TypeError('not a list of CPU numbers')
}

function malformed(message: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_CONFIG_FORMAT', message, { cause })
}
