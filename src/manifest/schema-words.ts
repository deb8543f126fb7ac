// What JSON Schema finds wrong with a value, in words about YAML, with the key's description and an example.

import type { ErrorObject } from 'ajv'

/** A schema, as far as words are made of it. */
export interface SchemaNode {
  readonly $ref?: string
  readonly description?: string
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly additionalProperties?: SchemaNode | boolean
  readonly definitions?: Readonly<Record<string, SchemaNode>>
}

/** A value that is shown is no longer than this in JSON. */
const MAX_SHOWN = 64

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'a whole number',
  array: 'a list',
  object: 'a map of keys to values',
  boolean: 'true or false',
}

/**
 * What is wrong with the value at a path, for example `ports.1 is "80" but must be a whole number`.
 *
 * @param part - Where in the schema the path begins: `#`, or below `#/definitions/`.
 */
export function describeValue(
  error: ErrorObject,
  path: readonly string[],
  { schema, part }: { readonly schema: SchemaNode; readonly part: string },
): string {
  const whole = part === '#' ? 'the manifest' : 'the file'
  const name = path.length === 0 ? whole : path.join('.')
  const node = nodeAt(path, schema, part)
  const notes = [
    ...(path.length === 0 || node.description === undefined ? [] : [node.description]),
    ...(node.examples ?? []).slice(0, 1).map((example) => `for example ${JSON.stringify(example)}`),
  ]
  return `${name}${problemOf(error)}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`
}

/** What is wrong with a key that has no place, or no valid name, there. */
export function describeKey(error: ErrorObject, path: readonly string[]): string {
  const name = path.join('.')
  if (error.propertyName !== undefined) return `${name} is not a valid name`
  const { properties = {} } = (error.parentSchema ?? {}) as SchemaNode
  return `${name} is an unknown key; the keys here are ${Object.keys(properties).join(', ')}`
}

/** A text of the wrong form is called so; of other values it is said what they must be. */
function problemOf(error: ErrorObject): string {
  const isShown = typeof error.data !== 'object' && JSON.stringify(error.data).length <= MAX_SHOWN
  const given = isShown ? JSON.stringify(error.data) : undefined
  const required = requirement(error)
  if (required === undefined)
    return given === undefined ? ' is not valid' : ` ${given} is not valid`
  return given === undefined ? ` ${required}` : ` is ${given} but ${required}`
}

function requirement({ keyword, params }: ErrorObject): string | undefined {
  const { limit, type, allowedValues, allowedValue, missingProperty, property } = params as Params
  switch (keyword) {
    case 'type':
      return `must be ${[type].flat().map(typeName).join(' or ')}`
    case 'enum':
      return `must be one of ${(allowedValues ?? []).join(', ')}`
    case 'const':
      return `must be ${JSON.stringify(allowedValue)}`
    case 'required':
      return `lacks the key ${String(missingProperty)}`
    case 'dependencies':
      return `has the key ${String(property)} but lacks the key ${String(missingProperty)}`
    case 'minimum':
      return `must be at least ${String(limit)}`
    case 'maximum':
      return `must be at most ${String(limit)}`
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return 'must not be empty'
    case 'maxLength':
      return `must have at most ${String(limit)} characters`
    case 'maxItems':
      return `must have at most ${String(limit)} items`
    case 'maxProperties':
      return `must have at most ${String(limit)} ${limit === 1 ? 'key' : 'keys'}`
    case 'uniqueItems':
      return 'must not have an item twice'
    case 'oneOf':
      return 'must have a host or a cidr, and not both'
    default:
      return undefined
  }
}

interface Params {
  readonly limit?: number
  readonly type?: string | readonly string[]
  readonly allowedValues?: readonly string[]
  readonly allowedValue?: unknown
  readonly missingProperty?: string
  readonly property?: string
}

function typeName(type: string | undefined): string {
  return TYPES[type ?? ''] ?? String(type)
}

/** What the schema says of a path: of a shared definition, too, where the key itself says nothing. */
function nodeAt(path: readonly string[], schema: SchemaNode, part: string): SchemaNode {
  const start = part === '#' ? schema : resolve({ $ref: part }, schema)
  return path.reduce((node, step) => {
    const { properties = {}, items, additionalProperties } = node
    const named = Object.hasOwn(properties, step) ? properties[step] : undefined
    const any = typeof additionalProperties === 'object' ? additionalProperties : undefined
    return resolve(named ?? items ?? any ?? {}, schema)
  }, start)
}

function resolve(node: SchemaNode, { definitions = {} }: SchemaNode): SchemaNode {
  if (node.$ref === undefined) return node
  const name = node.$ref.split('/').at(-1) ?? ''
  const { $ref: _, ...own } = node
  return { ...definitions[name], ...own }
}
