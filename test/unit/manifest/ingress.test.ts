// `ingress` and `proxy` of a manifest: what is valid, and the one form that is measured.

import { expect, test } from 'vitest'
import { parseManifest } from '../../../src/manifest/index.ts'
import { decodeMeasured, measuredPart } from '../../../src/manifest/measured.ts'

const manifest = (keys: object) =>
  Buffer.from(JSON.stringify({ cloister: 1, name: 'a', version: '1', ...keys }))

const measured = async (keys: object) =>
  measuredPart(await parseManifest(manifest(keys), 'cloister.yaml'))

const decoded = (ingress: unknown, more: object = {}) => {
  const bare = { name: 'a', version: '1', ports: [], logs: { stdout: [], stderr: [] } }
  const file = { manifest: { ...bare, restart: 'no', ingress, ...more } }
  return decodeMeasured(Buffer.from(JSON.stringify(file)))
}

const coded = (code: string): unknown => expect.objectContaining({ code })

test('every way to write the same ports is measured in one form, which decodes to itself', async () => {
  const ports = [
    { port: 80, protocol: 'tcp', proxyProtocol: 'v2' },
    { port: 53, protocol: 'udp' },
    53,
  ]
  const { ingress } = await measured({ ingress: { ports } })
  expect(ingress).toEqual({
    ports: [{ port: 53 }, { port: 53, protocol: 'udp' }, { port: 80, proxyProtocol: 'v2' }],
  })
  expect(decoded(ingress)?.ingress).toEqual(ingress)
  expect(await measured({ ingress: { ports: [] } })).not.toHaveProperty('ingress')
})

test.each([
  ['a port twice', [80, { port: 80 }]],
  ['the port of the API', [9010]],
  ['the port of the proxy', [{ port: 9011 }]],
  ['port 0', [0]],
  ['a port above 65535', [65_536]],
  ['a text', ['80']],
  ['a header over UDP', [{ port: 80, protocol: 'udp', proxyProtocol: 'v2' }]],
  ['version 1 of the header', [{ port: 80, proxyProtocol: 'v1' }]],
  ['an unknown key', [{ port: 80, host: '::' }]],
])('refuses %s, in a text and in an image', async (_, ports) => {
  const parsing = parseManifest(manifest({ ingress: { ports } }), 'cloister.yaml')
  await expect(parsing).rejects.toMatchObject({ code: 'ERR_MANIFEST_FIELD' })
  expect(() => decoded({ ports })).toThrow(coded('ERR_EIF_MANIFEST'))
})

test.each([
  ['in another order', [{ port: 80 }, { port: 53 }]],
  ['with a default', [{ port: 80, protocol: 'tcp' }]],
  ['as a number', [80]],
])('refuses ports %s in an image', (_, ports) => {
  expect(() => decoded({ ports })).toThrow(coded('ERR_EIF_MANIFEST'))
})

test('a proxy needs egress', async () => {
  const parsing = parseManifest(manifest({ proxy: true }), 'cloister.yaml')
  await expect(parsing).rejects.toThrow('has the key proxy but lacks the key egress')
  expect(await measured({ proxy: true, egress: {} })).toMatchObject({ proxy: true })
  expect(() => decoded(undefined, { proxy: true })).toThrow(coded('ERR_EIF_MANIFEST'))
  expect(() => decoded(undefined, { proxy: false })).toThrow(coded('ERR_EIF_MANIFEST'))
})
