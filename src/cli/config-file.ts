// run-enclave --config: nitro-cli's JSON file, snake_case keys, instead of the flags. As there, unknown
// keys and null are passed over. Our own keys are parent_ports, guest_ports, vsock, config_data, cgroup,
// huge_pages, egress, dns and publish, written like the flags' values.

import { CloisterError, messageOf } from '../errors.ts'
import { cgroupUses, type CgroupUse } from '../enclaves/index.ts'
import { parsePublication } from '../network/index.ts'
import { checkPortList, vsockKinds, type VsockKind } from '../vsock/index.ts'
import { MAX_CPU_COUNT, memorySize, readFileArgument, wholeNumber } from './arguments.ts'
import { printProgress } from './print.ts'
import type { RunOptions } from './run-options.ts'

/** Of unknown keys, and of a value, in what is printed. */
const MAX_SHOWN_KEYS = 8
const MAX_KEY_LENGTH = 40
const MAX_SHOWN_VALUE = 80

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
  cgroup: (value) => ({ cgroup: cgroupUse(value) }),
  huge_pages: (value) => ({ hugePages: as('boolean', value) }),
  egress: (value) => ({ egress: as('string', value) }),
  dns: (value) => ({ dns: strings(value) }),
  publish: (value) => ({ publish: strings(value).map(parsePublication) }),
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
    'cgroup',
    'hugePages',
    'egress',
    'dns',
    'publish',
  ] as const
  const clash = flags.find((flag) => options[flag] !== undefined)
  if (clash !== undefined) {
    const option = `--${clash.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw new CloisterError('ERR_CLI_ARGUMENT', `${option} cannot be used with --config`, {
      hint: 'Put the setting into the --config file; docs/nitro-cli.md lists its keys.',
    })
  }
  const json = parse(config)
  noteUnknownKeys(config, json)
  const settings = read(json)
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

/** As nitro-cli, which ignores them, but not in silence: a misspelt key would change nothing. */
function noteUnknownKeys(path: string, json: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(json).filter((key) => !Object.hasOwn(keys, key))
  if (unknown.length === 0) return
  const [shown, more] = [unknown.slice(0, MAX_SHOWN_KEYS), unknown.length - MAX_SHOWN_KEYS]
  const names = shown.map((key) => JSON.stringify(key.slice(0, MAX_KEY_LENGTH))).join(', ')
  const rest = more > 0 ? ` and ${String(more)} more` : ''
  printProgress(
    `Note: ${path}: ignoring unknown keys ${names}${rest}. docs/nitro-cli.md lists the keys.`,
  )
}

function read(json: Readonly<Record<string, unknown>>): Partial<RunOptions> {
  const settings = Object.entries(json).map(([key, value]) => {
    const reader = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (reader === undefined || value === null) return {}
    try {
      return reader(value)
    } catch (cause) {
      const shown = JSON.stringify(value).slice(0, MAX_SHOWN_VALUE)
      throw malformed(`--config: ${key} is ${shown}: ${messageOf(cause)}`, cause)
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
  throw new TypeError(`It must be a ${type}.`)
}

function whole(min: number, max: number, value: unknown): number {
  return wholeNumber(min, max)(String(as('number', value)))
}

function vsockKind(value: unknown): VsockKind {
  const kind = vsockKinds.find((known) => known === value)
  if (kind !== undefined) return kind
  throw new TypeError(`It must be one of ${vsockKinds.join(', ')}.`)
}

function cgroupUse(value: unknown): CgroupUse {
  const use = cgroupUses.find((known) => known === value)
  if (use !== undefined) return use
  throw new TypeError(`It must be one of ${cgroupUses.join(', ')}.`)
}

function numbers(value: unknown): readonly number[] {
  const isCpu = (item: unknown): item is number => Number.isSafeInteger(item) && Number(item) >= 0
  if (Array.isArray(value) && value.every(isCpu)) return value
  throw new TypeError('It must be a list of CPU numbers.')
}

function strings(value: unknown): readonly string[] {
  const isText = (item: unknown): item is string => typeof item === 'string'
  if (Array.isArray(value) && value.every(isText)) return value
  throw new TypeError('It must be a list of strings.')
}

function malformed(message: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_CONFIG_FORMAT', message, { cause })
}
