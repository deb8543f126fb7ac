// Ports with attested TLS as a person writes them and as they are measured.

import { expect, test } from 'vitest'
import { CloisterError } from '../../../src/errors.ts'
import { decodeMeasured, measuredPart } from '../../../src/manifest/measured.ts'
import { validateManifest } from '../../../src/manifest/validate.ts'

const HEAD = 'cloister: 1\nname: web\nversion: "1"\n'

/** What is measured of `tls` in a manifest. */
function measured(tls: string): unknown {
  return measuredPart(validateManifest(Buffer.from(`${HEAD}tls: ${tls}\n`), 'x.yaml')).tls
}

/** What an image says of it. */
function decoded(tls: unknown): unknown {
  const logs = { stdout: [], stderr: [] }
  const manifest = { name: 'web', version: '1', ports: [], logs, tls, restart: 'no' }
  return decodeMeasured(Buffer.from(JSON.stringify({ manifest })))?.tls
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof CloisterError) return `${error.code} ${error.message}`
    throw error
  }
  return 'accepted'
}

test('they are measured in the order of their ports, and not at all when there is none', () => {
  const ports = measured('[{ port: 8443, to: 8080 }, { to: 8080, port: 443 }]')
  expect(ports).toEqual([
    { port: 443, to: 8080 },
    { port: 8443, to: 8080 },
  ])
  expect(decoded(ports)).toEqual(ports)
  expect(measured('[]')).toBeUndefined()
  expect(decoded(undefined)).toBeUndefined()
})

test.each([
  [
    'a port twice',
    '[{ port: 1, to: 3 }, { port: 1, to: 4 }]',
    /:4:6: tls is not valid .*each port once/,
  ],
  ['a way into itself', '[{ port: 1, to: 1 }]', /:4:6: tls is not valid/],
  ['a way into another port', '[{ port: 1, to: 2 }, { port: 2, to: 3 }]', /tls is not valid/],
  ["a way to the guest's API", '[{ port: 1, to: 9010 }]', /tls is not valid .*not 9010/],
  ['no target', '[{ port: 1 }]', /tls.0 lacks the key to/],
  ['another key', '[{ port: 1, to: 2, tls: attested }]', /tls.0.tls is an unknown key/],
  [
    'a port that cannot be',
    '[{ port: 65536, to: 2 }]',
    /tls.0.port is 65536 but must be at most 65535/,
  ],
])('a manifest with %s is refused', (_, tls, message) => {
  const problem = codeOf(() => measured(tls))
  expect(problem).toMatch(/^ERR_MANIFEST_FIELD /)
  expect(problem).toMatch(message)
})

test.each([
  ['an empty list', []],
  [
    'another order',
    [
      { port: 2, to: 8080 },
      { port: 1, to: 8080 },
    ],
  ],
  [
    'a port twice',
    [
      { port: 1, to: 3 },
      { port: 1, to: 3 },
    ],
  ],
  ['port 0', [{ port: 0, to: 3 }]],
  ['another key', [{ port: 1, to: 3, key: 1 }]],
  ['a text', '443'],
  ['17 ports', Array.from({ length: 17 }, (_, index) => ({ port: index + 1, to: 8080 }))],
])('an image that says %s is refused', (_, tls) => {
  expect(codeOf(() => decoded(tls))).toMatch(/^ERR_EIF_MANIFEST /)
})
