// A store remembers the roots that its brokers accept: one that is started with others by mistake would open keys for other
// documents.

import { once } from '../../fixtures/once.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { rootDigest } from '../../../src/kms/index.ts'
import { Platform } from '../../fixtures/kms/platform.ts'
import { RunningBroker } from '../../fixtures/kms/running-broker.ts'
import { tamper } from '../../fixtures/kms/store-file.ts'
import { TestHost } from '../../host.ts'

type Name = 'mine' | 'theirs' | 'third'
let roots: Readonly<Record<Name, Uint8Array>>
let broker: RunningBroker

beforeAll(async () => {
  const make = async () => (await Platform.make()).root
  roots = { mine: await make(), theirs: await make(), third: await make() }
})
beforeEach(async () => {
  broker = await RunningBroker.start({ roots: ders('mine', 'theirs'), changesRoots: false })
  await broker.stop()
})
afterEach(() => broker[Symbol.asyncDispose]())

const ders = (...names: readonly Name[]) => names.map((name) => roots[name])
const digests = (...names: readonly Name[]) =>
  ders(...names)
    .map(rootDigest)
    .toSorted()

async function start(...names: readonly Name[]): Promise<void> {
  await broker.stop()
  await broker.restart({ roots: ders(...names), changesRoots: false })
}

test.each<readonly [string, readonly Name[]]>([
  ['fewer', ['mine']],
  ['more', ['mine', 'theirs', 'third']],
  ['other', ['mine', 'third']],
])('%s roots than before are refused, with the digests of both', async (_, names) => {
  const refused = start(...names)
  await expect(refused).rejects.toMatchObject({
    code: 'ERR_KMS_ROOTS',
    details: { stored: digests('mine', 'theirs'), given: digests(...names) },
  })
  for (const digest of [...digests('mine', 'theirs'), ...digests(...names)])
    await expect(refused).rejects.toThrow(digest.slice(0, 16))
})

test('the same roots in any order are accepted, and none, under which no document counts', async () => {
  await start('theirs', 'mine', 'mine')
  await start()
  await start('mine', 'theirs')
  await expect(start('third')).rejects.toMatchObject({ code: 'ERR_KMS_ROOTS' })
})

test('a store that another program has told of other roots is refused', async () => {
  tamper(
    join(broker.store, 'kms.db'),
    "UPDATE meta SET value = CAST(substr(value, 1, length(value) - 1) || 'x' AS BLOB) WHERE name = 'roots'",
  )
  await expect(start('mine', 'theirs')).rejects.toMatchObject({ code: 'ERR_KMS_STORE' })
})

test('an operator changes them on purpose with --change-roots, for this broker and later ones', async () => {
  await using host = new TestHost()
  writeFileSync(host.path('third.der'), roots.third)
  const serve = [
    ...['kms', 'serve', '--port', '0', '--credentials', broker.path('principals.json')],
    ...['--master-key-file', broker.path('master.key'), '--store', broker.store],
    ...['--root', host.path('third.der'), '--region', 'eu-central-1'],
  ]
  const { status, stderr } = await host.run(...serve)
  expect(status).not.toBe(0)
  expect(stderr).toMatch(/ERR_KMS_ROOTS: [^]*--change-roots/)
  const changed = host.spawn(...serve, '--change-roots')
  await once(changed.stdout ?? changed, 'data')
  changed.kill('SIGTERM')
  await once(changed, 'exit')
  await start('third')
  await expect(start('mine', 'theirs')).rejects.toMatchObject({ code: 'ERR_KMS_ROOTS' })
})
