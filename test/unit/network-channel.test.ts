// The keeper's end of the network card's channel, and where names are asked.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair, type Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { NetworkCardChannel } from '../../src/network/card-channel.ts'
import { parseResolver, systemResolvers } from '../../src/network/resolvers.ts'

const REFUSED = { destination: 'a.b:1/tcp', by: 'image', why: 'no rule allows it', count: 1 }
const REPORT = {
  flows: 1,
  maxFlows: 2,
  counters: {
    ...{ tcpFlows: 3, udpFlows: 4, lookups: 5, failed: 6, tooMany: 7 },
    ...{ bytesFromGuest: 8, bytesToGuest: 9 },
  },
  refused: 1,
  refusals: [REFUSED],
  refusedByRule: [{ by: 'image', rule: 'none', count: 1 }],
}

/** A card that gives this answer to every request. */
function answering(result: unknown): { channel: NetworkCardChannel; card: Duplex } {
  const [ours, card] = duplexPair()
  card.on('data', (bytes: Buffer) => {
    const { id } = JSON.parse(bytes.toString()) as { readonly id: number }
    card.write(`${JSON.stringify({ id, result })}\n`)
  })
  return { channel: new NetworkCardChannel(ours), card }
}

test('a report is what the card counts', async () => {
  expect(await answering(REPORT).channel.report()).toEqual(REPORT)
})

test('a refusal is told without being asked for', async () => {
  const { channel, card } = answering(REPORT)
  const heard = new Promise((resolve) => {
    channel.onRefusal = resolve
  })
  card.write(`${JSON.stringify({ event: 'refused', refused: REFUSED })}\n`)
  expect(await heard).toEqual(REFUSED)
})

test.each([
  ['nothing', undefined],
  ['text', 'x'],
  ['a negative count', { ...REPORT, flows: -1 }],
  ['a missing counter', { ...REPORT, counters: {} }],
  ['somebody else', { ...REPORT, refusals: [{ ...REFUSED, by: 'guest' }] }],
  ['257 refusals', { ...REPORT, refusals: Array(257).fill(REFUSED) }],
  ['1027 rules', { ...REPORT, refusedByRule: Array(1027).fill(REPORT.refusedByRule[0]) }],
  ['a long text', { ...REPORT, refusals: [{ ...REFUSED, why: 'x'.repeat(4097) }] }],
])('a report with %s is refused', async (_, report) => {
  await expect(answering(report).channel.report()).rejects.toMatchObject({
    code: 'ERR_NETWORK_CONTROL',
  })
})

test('a card that sends what is not JSON is asked no more', async () => {
  const { channel, card } = answering(REPORT)
  card.write('{\n')
  await expect(channel.report()).rejects.toMatchObject({ code: 'ERR_NETWORK_CONTROL' })
  await expect(channel.report()).rejects.toMatchObject({ code: 'ERR_NETWORK_CONTROL' })
})

test.each([
  ['192.0.2.1', '192.0.2.1:53'],
  ['192.0.2.1:5353', '192.0.2.1:5353'],
  ['2001:db8::1', '[2001:db8::1]:53'],
  ['[2001:db8::1]:5353', '[2001:db8::1]:5353'],
  ['[192.0.2.1]:53', undefined],
  ['fe80::1%eth0', undefined],
  ['192.0.2.1:0', undefined],
  ['192.0.2.1:65536', undefined],
  ['one.one', undefined],
  ['', undefined],
])('the resolver %j is %j', (text, expected) => {
  expect(parseResolver(text)).toBe(expected)
})

test("the host's resolvers are the first three that can be asked", () => {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-resolv-'))
  const path = join(directory, 'resolv.conf')
  writeFileSync(
    path,
    `# a comment\nsearch example\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\nnameserver\t2001:db8::1
nameserver 192.0.2.2 # last\nnameserver 192.0.2.3\n`,
  )
  expect(systemResolvers(path)).toEqual(['192.0.2.1:53', '[2001:db8::1]:53', '192.0.2.2:53'])
  expect(systemResolvers(join(directory, 'none'))).toEqual([])
  rmSync(directory, { recursive: true })
})
