// The rules of egress as a person writes them and as they are measured.

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CloisterError } from '../../../src/errors.ts'
import { canonicalCidr } from '../../../src/manifest/cidr.ts'
import { decodeEgress } from '../../../src/manifest/decode-egress.ts'
import { canonicalEgress } from '../../../src/manifest/egress.ts'
import { validateEgress, validateManifest } from '../../../src/manifest/validate.ts'
import { TestHost } from '../../host.ts'

const HEAD = 'cloister: 1\nname: web\nversion: "1"\n'

const RULES = `allow:
  - { host: API.example.com, ports: [443] }
  - { host: '**.example.com', ports: ['8001-8100', 80, 8000], protocol: tcp }
  - { cidr: 'FD00:0:0:1::/64', private: true }
  - { cidr: 9.9.9.9, private: false }
deny:
  - { host: bad.example.com }
`

const MEASURED = {
  allow: [
    { host: 'api.example.com', ports: [443] },
    { host: '**.example.com', ports: [80, '8000-8100'], protocol: 'tcp' },
    { cidr: 'fd00:0:0:1::/64', private: true },
    { cidr: '9.9.9.9/32' },
  ],
  deny: [{ host: 'bad.example.com' }],
}

let host: TestHost

beforeAll(() => {
  host = new TestHost()
  mkdirSync(host.path('rootfs'))
  writeFileSync(host.path('rootfs/app'), '#!/bin/sh\n', { mode: 0o755 })
})

afterAll(() => {
  host.discard()
})

function indented(rules: string): string {
  return `egress:\n${rules.replace(/^/gm, '  ').trimEnd()}\n`
}

function build(rules: string, ...flags: readonly string[]): readonly string[] {
  writeFileSync(host.path('cloister.yaml'), HEAD + indented(rules))
  const source = ['--rootfs', host.path('rootfs'), '--entrypoint', '/app']
  const manifest = ['--manifest', host.path('cloister.yaml')]
  return ['build', ...source, ...manifest, '--output-file', host.path('web.eif'), ...flags]
}

test('they are measured in one form, into PCR2, and shown by describe-eif', async () => {
  await host.json(...build(RULES))
  const first = await host.json('describe-eif', '--eif-path', host.path('web.eif'))
  expect(first).toMatchObject({
    Manifest: {
      Egress: {
        Allow: [
          { Host: 'api.example.com', Ports: [443] },
          { Host: '**.example.com', Ports: [80, '8000-8100'], Protocol: 'tcp' },
          { Cidr: 'fd00:0:0:1::/64', Private: true },
          { Cidr: '9.9.9.9/32' },
        ],
        Deny: [{ Host: 'bad.example.com' }],
      },
    },
  })
  await host.json(...build(RULES.replace('API', 'api').replace('80, 8000]', '8000, 80]')))
  expect(await host.json('describe-eif', '--eif-path', host.path('web.eif'))).toEqual(first)
  const { Measurements: before } = first as { readonly Measurements: Record<string, string> }
  await host.json(...build(RULES.replace('[443]', '[444]')))
  const { Measurements: after } = await host.json<{ Measurements: Record<string, string> }>(
    ...['describe-eif', '--eif-path', host.path('web.eif')],
  )
  expect(after['PCR1']).toBe(before['PCR1'])
  expect(after['PCR2']).not.toBe(before['PCR2'])
})

test('an image whose kernel has no network device is refused', async () => {
  const built = join(import.meta.dirname, '../../../build/blobs')
  mkdirSync(host.path('blobs'))
  for (const name of ['bzImage', 'init', 'cmdline'])
    symlinkSync(join(built, name), host.path(`blobs/${name}`))
  const config = readFileSync(join(built, 'kernel.config'), 'utf8')
  writeFileSync(host.path('blobs/kernel.config'), config.replace('CONFIG_TUN=y', ''))
  const { stderr } = await host.run(...build(RULES, '--blobs', host.path('blobs')))
  expect(stderr).toContain('ERR_IMAGE_EGRESS')
})

test('an operator writes them as YAML or JSON', () => {
  expect(canonicalEgress(validateEgress(Buffer.from(RULES), 'x.yaml'))).toEqual(MEASURED)
  const json = Buffer.from(JSON.stringify(MEASURED))
  expect(canonicalEgress(validateEgress(json, 'x.json'))).toEqual(MEASURED)
  expect(decodeEgress(MEASURED)).toEqual(MEASURED)
})

/** What is thrown for a rule of a list. */
function problem(rule: string, list = 'allow'): CloisterError {
  try {
    validateManifest(Buffer.from(HEAD + indented(`${list}:\n  - ${rule}\n`)), 'x.yaml')
  } catch (error) {
    if (error instanceof CloisterError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('a problem is reported with line and column', () => {
  test.each([
    ['{}', /:6:7: egress.allow.0 must have a host or a cidr, and not both$/],
    ['{ host: a.b, cidr: 1.2.3.4 }', /:6:7: egress.allow.0 must have a host or a cidr/],
    ['{ host: a.b, port: 1 }', /:6:20: egress.allow.0.port is an unknown key/],
    ['{ host: "a b" }', /:6:15: egress.allow.0.host "a b" is not valid \(a host name/],
    ['{ host: "a.**" }', /:6:15: egress.allow.0.host "a.\*\*" is not valid/],
    ['{ host: 10.1.2.3 }', /:6:15: egress.allow.0.host "10.1.2.3" is not valid/],
    ['{ cidr: 10.1.2.3/16 }', /:6:15: egress.allow.0.cidr "10.1.2.3\/16" is not valid/],
    ['{ cidr: "::ffff:1.2.3.4" }', /:6:15: egress.allow.0.cidr/],
    ['{ host: a.b, ports: [] }', /:6:27: egress.allow.0.ports must not be empty/],
    ['{ host: a.b, ports: [0] }', /:6:28: egress.allow.0.ports.0 is 0 but must be at least 1/],
    ['{ host: a.b, ports: ["9-1"] }', /:6:28: egress.allow.0.ports.0 "9-1" is not valid/],
    ['{ host: a.b, protocol: icmp }', /:6:30: .*must be one of tcp, udp/],
  ])('%s', (rule, message) => {
    expect(problem(rule)).toMatchObject({
      code: 'ERR_MANIFEST_FIELD',
      message: expect.stringMatching(message) as string,
    })
  })

  test('of a denial that says private', () => {
    const { message } = problem('{ host: a.b, private: true }', 'deny')
    expect(message).toMatch(/egress.deny.0.private is an unknown key/)
  })
})

test('a block is written in one form, whatever the way to write it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128), (bytes, length) => {
      const masked = bytes.map((byte, index) => {
        const kept = Math.min(Math.max(length - index * 8, 0), 8)
        return byte & ~(0xff >> kept)
      })
      masked[0] = (masked[0] ?? 0) | (length > 0 ? 0x80 : 0) // no mapped ones
      const groups = Array.from({ length: 8 }, (_, n) =>
        (((masked[2 * n] ?? 0) << 8) | (masked[2 * n + 1] ?? 0)).toString(16),
      )
      const long = groups.map((group) => group.padStart(4, '0').toUpperCase()).join(':')
      const canonical = canonicalCidr(`${groups.join(':')}/${String(length)}`)
      expect(canonical).toBeDefined()
      expect(canonicalCidr(`${long}/${String(length)}`)).toBe(canonical)
      expect(canonicalCidr(canonical ?? '')).toBe(canonical)
    }),
  )
})

test('a text that is not a block is none', () => {
  for (const text of [
    '',
    '/8',
    '1.2.3/8',
    '1.2.3.4/33',
    '1.2.3.4/032',
    '::1/129',
    '::1/',
    'a',
    'fe80::1%eth0',
    '1.2.3.4/8/8',
    '::ffff:0:0/96',
  ]) {
    expect(canonicalCidr(text), text).toBeUndefined()
  }
})

test.each([
  ['text', 'x'],
  ['a missing list', { allow: [] }],
  ['an unknown key', { allow: [], deny: [], other: [] }],
  ['an unknown field', { allow: [{ host: 'a.b', x: 1 }], deny: [] }],
  ['neither host nor block', { allow: [{ ports: [1] }], deny: [] }],
  ['upper case', { allow: [{ host: 'A.b' }], deny: [] }],
  ['ports out of order', { allow: [{ host: 'a.b', ports: [2, 1] }], deny: [] }],
  ['a port of 0', { allow: [{ host: 'a.b', ports: [0] }], deny: [] }],
  ['no ports', { allow: [{ host: 'a.b', ports: [] }], deny: [] }],
  ['private: false', { allow: [{ host: 'a.b', private: false }], deny: [] }],
  ['a private denial', { allow: [], deny: [{ host: 'a.b', private: true }] }],
  ['257 rules', { allow: Array(257).fill({ host: 'a.b' }), deny: [] }],
])('an image is refused with %s', (_, value) => {
  expect(() => decodeEgress(value)).toThrow(expect.objectContaining({ code: 'ERR_EIF_MANIFEST' }))
})
