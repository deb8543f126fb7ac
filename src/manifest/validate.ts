// A manifest against its published JSON Schema (docs/manifest.schema.json), with the place of every
// problem in the text.

import { readFileSync } from 'node:fs'
import { Ajv, type ErrorObject } from 'ajv'
import { CloisterError } from '../errors.ts'
import { canonicalCidr } from './cidr.ts'
import { arePublishable, type IngressPort } from './ingress.ts'
import { isHostPattern, isPortRange, type EgressText } from './egress.ts'
import type { ManifestText } from './manifest-text.ts'
import { describeKey, describeValue, type SchemaNode } from './schema-words.ts'
import { areDistinct, type TlsPort } from './tls-ports.ts'
import { parseYaml, type Position, type YamlDocument } from '../yaml.ts'

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
  const file = new URL('../../docs/manifest.schema.json', import.meta.url)
  const schema = JSON.parse(readFileSync(file, 'utf8')) as SchemaNode
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true })
  ajv.addFormat('host-pattern', isHostPattern)
  ajv.addFormat('cidr', (text) => canonicalCidr(text) !== undefined)
  ajv.addFormat('port-range', isPortRange)
  ajv.addKeyword({ keyword: 'distinctPorts', type: 'array', validate: hasDistinctPorts })
  ajv.addKeyword({ keyword: 'publishablePorts', type: 'array', validate: isPublishable })
  ajv.addSchema(schema, 'manifest')
  const isValid = ajv.compile({ $ref: `manifest${part}` })
  if (isValid(document.value)) return document.value
  throw invalid(name, problemsOf(isValid.errors ?? [], { document, schema, part }))
}

/** Of items that are valid themselves; others have a message of their own. */
function hasDistinctPorts(_: true, ports: readonly TlsPort[]): boolean {
  const isPort = (port: unknown): boolean => typeof port === 'number'
  return !ports.every(({ port, to }) => isPort(port) && isPort(to)) || areDistinct(ports)
}

function isPublishable(_: true, ports: readonly (number | IngressPort)[]): boolean {
  const isPort = (item: unknown): boolean =>
    typeof item === 'number' || typeof (item as Partial<IngressPort> | null)?.port === 'number'
  return !ports.every(isPort) || arePublishable(ports)
}

interface Context {
  readonly document: YamlDocument
  readonly schema: SchemaNode
  readonly part: string
}

function problemsOf(errors: readonly ErrorObject[], context: Context): readonly Problem[] {
  return errors
    .filter(({ keyword, schemaPath }) => keyword !== 'propertyNames' && !isChoice(schemaPath))
    .map((error) => problemOf(error, context))
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
}

function problemOf(error: ErrorObject, context: Context): Problem {
  const { locate } = context.document
  const path = error.instancePath.split('/').slice(1).map(unescape)
  const unknown = keyOf(error)
  if (unknown === undefined)
    return { ...locate(path), message: describeValue(error, path, context) }
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
