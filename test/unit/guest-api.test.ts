// The published description of the guest's API, and the codes that the API answers with.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { errorTable } from '../../src/error-table.ts'

interface Operation {
  readonly parameters: readonly { readonly name?: string }[]
  readonly responses: object
}

interface Description {
  readonly paths: Readonly<Record<string, { readonly get: Operation }>>
  readonly components: {
    readonly schemas: {
      readonly problem: {
        readonly properties: {
          readonly error: { readonly properties: { readonly code: { readonly enum: string[] } } }
        }
      }
    }
  }
}

const read = (path: string): string => readFileSync(resolve(path), 'utf8')
const json = (path: string): object => JSON.parse(read(path)) as object
const description = json('docs/guest-api.openapi.json') as Description
const rows = Object.entries(errorTable).filter(([code]) => code.startsWith('ERR_API_'))

test('it is OpenAPI 3.1, and every schema in it is one of JSON Schema 2020-12', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const isOpenApi = ajv.compile(json('test/vectors/openapi/schema-3.1.json'))
  isOpenApi(description)
  expect(isOpenApi.errors).toBeNull()
  const found = schemasIn(description)
  expect(found.length).toBeGreaterThan(10)
  for (const schema of found) expect(ajv.validateSchema(schema), JSON.stringify(schema)).toBe(true)
})

test('it names the codes of the error table, and the API answers with their hints', () => {
  const codes = rows.map(([code]) => code)
  expect(description.components.schemas.problem.properties.error.properties.code.enum).toEqual(
    codes,
  )
  expectHints('ERR_API_', 'enclave-images/guest-api/src/problem.rs')
})

test('attested TLS answers with the codes and hints of the error table', () => {
  expectHints('ERR_EDGE_', 'enclave-images/edge/src/problem.rs')
})

function expectHints(prefix: string, path: string): void {
  const found = Object.entries(errorTable).filter(([code]) => code.startsWith(prefix))
  expect(found.length).toBeGreaterThan(0)
  const source = read(path)
  for (const [code, { hint }] of found) {
    expect(source).toContain(`"${code}"`)
    expect(source).toContain(`"${hint}"`)
  }
}

test('its paths and parameters are those that the API knows', () => {
  const route = (name: string): string => read(`enclave-images/guest-api/src/${name}.rs`)
  const known = [...route('routes').matchAll(/"(\/v1\/\w+)" =>/g)].map(([, path]) => path)
  expect(Object.keys(description.paths)).toEqual(known)
  const parametersOf = (path: string): readonly unknown[] =>
    (description.paths[path]?.get.parameters ?? []).flatMap(({ name }) => name ?? [])
  for (const [path, file] of [
    ['/v1/attestation', 'attest'],
    ['/v1/random', 'random'],
  ] as const) {
    const [, list = ''] = /PARAMETERS: &\[&str\] = &\[(.*)\];/.exec(route(file)) ?? []
    expect(parametersOf(path)).toEqual(JSON.parse(`[${list}]`))
  }
})

/** Every value of a key `schema`, and the shared ones. */
function schemasIn(value: unknown): readonly object[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (key === 'schema') return [inner as object]
    if (key === 'schemas') return Object.values(inner as Record<string, object>)
    return schemasIn(inner)
  })
}
