// What `--publish` takes, and which ports an image lets be published.

import { expect, test } from 'vitest'
import {
  checkDeclared,
  checkPublications,
  describePublication,
  parsePublication,
} from '../../../src/network/index.ts'

const coded = (code: string): unknown => expect.objectContaining({ code })

test.each([
  ['8080:80', '127.0.0.1:8080/tcp', 80],
  ['0:80/tcp', '127.0.0.1:0/tcp', 80],
  ['0.0.0.0:53:5353/udp', '0.0.0.0:53/udp', 5353],
  ['[::1]:8080:80', '[::1]:8080/tcp', 80],
])('%s is published at %s', (text, place, guestPort) => {
  const publication = parsePublication(text)
  expect(describePublication(publication)).toBe(place)
  expect(publication.guestPort).toBe(guestPort)
})

test.each([
  ['', '80', '8080:', ':80', '8080:0', '65536:80', '80:65536', 'localhost:8080:80', '::1:8080:80'],
  ['[127.0.0.1]:8080:80', '127.1:8080:80', '8080:80/sctp', '8080-8090:80', '8080:80 ', '-1:80'],
])('refuses what is not a publication', (...texts) => {
  for (const text of texts)
    expect(() => parsePublication(text), text).toThrow(coded('ERR_NETWORK_PUBLISH'))
})

test('a place is published once, but port 0 is another one each time', () => {
  const parse = (...texts: readonly string[]) => texts.map(parsePublication)
  expect(checkPublications(parse('0:80', '0:80', '8080:80', '8080:80/udp'))).toHaveLength(4)
  expect(() => checkPublications(parse('8080:80', '8080:81'))).toThrow(coded('ERR_NETWORK_PUBLISH'))
  const many = Array.from({ length: 65 }, () => '0:80')
  expect(() => checkPublications(parse(...many))).toThrow(coded('ERR_NETWORK_PUBLISH'))
})

test('only what the image declares is published: its ports by protocol, and attested TLS', () => {
  const manifest = {
    ingress: { ports: [{ port: 53, protocol: 'udp' as const }, { port: 80 }] },
    tls: [{ port: 443, to: 80 }],
  }
  const check = (text: string, of: Parameters<typeof checkDeclared>[1] = manifest) => {
    checkDeclared([parsePublication(text)], of)
  }
  for (const text of ['0:53/udp', '0:80', '0:443']) check(text)
  for (const text of ['0:53', '0:80/udp', '0:443/udp', '0:81'])
    expect(() => {
      check(text)
    }, text).toThrow(coded('ERR_NETWORK_UNDECLARED'))
  expect(() => {
    check('0:80', {})
  }).toThrow(coded('ERR_NETWORK_UNDECLARED'))
})
