// The agent starts no app when what its parent hands over is not what PCR16 holds.

import { createHash } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { bootAgent, buildProbe, probeManifest } from '../fixtures/agent/agent-machine.ts'

beforeAll(buildProbe, 300_000)

const manifest = probeManifest(['report'])
const good = Buffer.from('\xa1\x61a\x431\n2', 'latin1')

/** What PCR16 holds once it is extended with the digest of a configuration. */
function pcr16(configuration: Uint8Array): Uint8Array {
  const digest = createHash('sha384').update(configuration).digest()
  return createHash('sha384').update(new Uint8Array(48)).update(digest).digest()
}

test('what PCR16 holds is taken', async () => {
  const boot = await bootAgent({ manifest, pcr16: pcr16(good), configuration: good })
  const events = boot.events.map(({ event }) => event)
  expect(events).toEqual(['configure', 'started', 'exited'])
})

const refused: readonly (readonly [string, object])[] = [
  ['other bytes than PCR16 holds', { pcr16: pcr16(good), configuration: Buffer.from('\x431\n3') }],
  ['nothing', { pcr16: pcr16(good) }],
  ['what is locked and was never extended', { pcr16: new Uint8Array(48), configuration: good }],
  ['measured bytes that are no configuration', measured('\xa1\x63../\x40')],
  ['more than may be', { pcr16: pcr16(good), configuration: new Uint8Array(68 * 1024 + 1) }],
  ['a locked PCR16 without a parent to ask', { pcr16: pcr16(good), closedPorts: [9002] }],
]

function measured(text: string): object {
  const configuration = Buffer.from(text, 'latin1')
  return { pcr16: pcr16(configuration), configuration }
}

test.each(refused)('no app starts: %s', async (_, options) => {
  const boot = await bootAgent({ manifest, ...options })
  expect(boot.console).toContain('cloister: take the configuration: ')
  expect(boot.console).not.toContain('argv=')
  expect(boot.events.filter(({ event }) => event !== 'configure')).toEqual(
    'closedPorts' in options
      ? []
      : [{ event: 'failed', step: 'take the configuration', error: expect.any(String) as string }],
  )
})
