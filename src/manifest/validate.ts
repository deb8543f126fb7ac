// A manifest against its published JSON Schema (docs/manifest.schema.json), with the place of every
// problem in the text.

import { readFileSync } from 'node:fs'
import { Ajv, type ErrorObject } from 'ajv'
import { CloisterError } from '../errors.ts'
import { canonicalCidr } from './cidr.ts'
import { isHostPattern, isPortRange, type EgressText } from './egress.ts'
import type { ManifestText } from './manifest-text.ts'
import { parseYaml, type Position, type YamlDocument } from './yaml.ts'

/** Further ones are counted. */
const MAX_PROBLEMS = 10

interface Problem extends Position {
  readonly message: string
}

/**
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export function validateManifest(bytes: Uint8Array, name: string): ManifestText {
  return validate(bytes, name, '#') as ManifestText
}

/**
 * What `egress` of a manifest would say, as a file of its own.
 *
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export function validateEgress(bytes: Uint8Array, name: string): EgressText {
  return validate(bytes, name, '#/definitions/egress') as EgressText
}

/**
 * The rules of a whole manifest, or of a file that has nothing else.
 *
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export function validateAnyEgress(bytes: Uint8Array, name: string): EgressText | undefined {
  const { value } = parseYaml(bytes, name)
  const isManifest = typeof value === 'object' && value !== null && 'cloister' in value
  return isManifest ? validateManifest(bytes, name).egress : validateEgress(bytes, name)
}

function validate(bytes: Uint8Array, name: string, part: string): unknown {
  const document = parseYaml(bytes, name)
  const schema = new URL('../../docs/manifest.schema.json', import.meta.url)
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true })
  ajv.addFormat('host-pattern', isHostPattern)
  ajv.addFormat('cidr', (text) => canonicalCidr(text) !== undefined)
  ajv.addFormat('port-range', isPortRange)
  ajv.addSchema(JSON.parse(readFileSync(schema, 'utf8')) as Record<string, unknown>, 'manifest')
  const isValid = ajv.compile({ $ref: `manifest${part}` })
  if (isValid(document.value)) return document.value
  throw invalid(name, problemsOf(isValid.errors ?? [], document))
}

function problemsOf(errors: readonly ErrorObject[], document: YamlDocument): readonly Problem[] {
  return errors
    .filter(({ keyword, schemaPath }) => keyword !== 'propertyNames' && !isChoice(schemaPath))
    .map((error) => problemOf(error, document))
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
}

function problemOf(error: ErrorObject, { locate }: YamlDocument): Problem {
  const path = error.instancePath.split('/').slice(1).map(unescape)
  const unknown = keyOf(error)
  if (unknown === undefined) return { ...locate(path), message: describe(error, path) }
  const full = [...path, unknown]
  return { ...locate(full, true), message: describeKey(error, full) }
}

/** One of the ways to satisfy a `oneOf`, which has a message of its own. */
function isChoice(schemaPath: string): boolean {
  return schemaPath.includes('/oneOf/')
}

/** The key that is wrong itself, whatever its value is. */
function keyOf({ keyword, params, propertyName }: ErrorObject): string | undefined {
  if (propertyName !== undefined) return propertyName
  if (keyword !== 'additionalProperties') return undefined
  return (params as { readonly additionalProperty: string }).additionalProperty
}

function describeKey(error: ErrorObject, path: readonly string[]): string {
  const name = path.join('.')
  if (error.propertyName !== undefined) return `${name} is not a valid name`
  return `${name} is an unknown key`
}

function describe(error: ErrorObject, path: readonly string[]): string {
  const name = path.length === 0 ? 'the manifest' : path.join('.')
  const { description } = (error.parentSchema ?? {}) as { readonly description?: string }
  const what = path.length === 0 || description === undefined ? '' : ` (${description})`
  const given = isScalar(error.data) ? ` is ${JSON.stringify(error.data)} and` : ''
  return `${name}${given} ${requirement(error)}${what}`
}

function requirement({ keyword, message = 'is invalid', params }: ErrorObject): string {
  const { allowedValues, allowedValue, missingProperty } = params as Record<string, unknown>
  if (keyword === 'enum') return `must be one of ${(allowedValues as string[]).join(', ')}`
  if (keyword === 'const') return `must be ${JSON.stringify(allowedValue)}`
  if (keyword === 'oneOf') return 'must have a host or a cidr, and not both'
  if (keyword === 'format') return 'is invalid'
  if (keyword === 'required') return `lacks ${String(missingProperty)}`
  return message
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' && JSON.stringify(value).length <= 64
}

/** RFC 6901. */
function unescape(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~')
}

function invalid(name: string, problems: readonly Problem[]): CloisterError {
  const texts = problems.map(
    ({ line, column, message }) => `${name}:${String(line)}:${String(column)}: ${message}`,
  )
  const [first = name, ...others] = texts
  const [{ line, column } = { line: 1, column: 1 }] = problems
  const listed = others.slice(0, MAX_PROBLEMS - 1)
  const more = others.length - listed.length
  const also = [...listed, ...(more > 0 ? [`and ${String(more)} more`] : [])]
  return new CloisterError('ERR_MANIFEST_FIELD', first, {
    details: { line, column, ...(also.length > 0 && { also: also.join('\n') }) },
  })
}
