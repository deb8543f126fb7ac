// How the key broker bears many keys and a long audit log: Decrypt of every key in turn, a change of a key, a page of
// ListKeys from the middle, and `kms audit verify`, with each number of keys and entries. Each key has a policy of its
// own, and is rotated.

import { randomBytes } from 'node:crypto'
import { verifyStoredAudit } from '../src/kms/index.ts'
import { readBlob, sealBlob } from '../src/kms/crypto/ciphertext-blob.ts'
import type { Store } from '../src/kms/store/store.ts'
import { ROOT_USER } from '../test/fixtures/kms/running-broker.ts'
import type { SignedRequest } from '../src/kms/auth/sigv4.ts'
import { rateOf, textOf, type Rate } from './kms-serve.ts'
import type { BenchRow } from './row.ts'

/** Keys, and entries in the log. */
const STEPS = [
  [10, 1000],
  [1000, 1000],
  [10_000, 1000],
  [10_000, 100_000],
  [10_000, 1_000_000],
] as const
const BATCH = 5000
const YEAR_MS = 365 * 24 * 3600 * 1000
/** Of one measurement. */
const MOST_REQUESTS = 4000
const FEWER = 500

/** What the curve needs of a broker's place. */
export interface CurvePlace {
  /** The directory of the store. */
  readonly store: string
  open(): Store
  serving<T>(work: (endpoint: string) => Promise<T>): Promise<T>
  signed(operation: string, fields: object): Promise<SignedRequest>
  /** An entry of the audit log. */
  readonly entry: Parameters<Store['audit']['append']>[0]
}

interface Measured {
  /** Each key for the first time since the broker's start, and once more. */
  readonly first: Rate
  readonly again: Rate
  readonly change: Rate
  readonly list: Rate
  /** Entries verified per second. */
  readonly verify: number
}

/** A row for each step, compared with the first. */
export async function curveOf(place: CurvePlace): Promise<readonly BenchRow[]> {
  const ciphertexts: string[] = []
  const rows: BenchRow[] = []
  let first: Measured | undefined
  for (const [keys, entries] of STEPS) {
    addKeys(place, ciphertexts, keys)
    addEntries(place, entries)
    const measured = await measure(place, ciphertexts)
    first ??= measured
    rows.push(...rowsOf(`${String(keys)} keys, ${String(entries)} entries`, measured, first))
  }
  return rows
}

function rowsOf(size: string, now: Measured, first: Measured): readonly BenchRow[] {
  const [least] = STEPS
  const peer = `${String(least[0])} keys, ${String(least[1])} entries`
  const row = (what: string, ours: string, ratio: number): BenchRow => ({
    claim: `KMS ${what} with ${size} (about 1)`,
    ...{ ours, peer, ratio },
  })
  const { again, change, list, verify } = now
  return [
    row(
      'Decrypt, first of each key',
      textOf(now.first),
      now.first.perSecond / first.again.perSecond,
    ),
    row('Decrypt of every key', textOf(again), again.perSecond / first.again.perSecond),
    row('UpdateKeyDescription', textOf(change), change.perSecond / first.change.perSecond),
    row('ListKeys', textOf(list), list.perSecond / first.list.perSecond),
    row('audit verify', `${verify.toFixed(0)} entries/s`, verify / first.verify),
  ]
}

async function measure(place: CurvePlace, ciphertexts: readonly string[]): Promise<Measured> {
  const step = Math.max(1, Math.floor(ciphertexts.length / MOST_REQUESTS))
  const chosen = ciphertexts.filter((_, at) => at % step === 0)
  const decrypts = await Promise.all(
    chosen.map((CiphertextBlob) => place.signed('Decrypt', { CiphertextBlob })),
  )
  // From the middle of all ids.
  const Marker = Buffer.from('7fffffff-ffff-4fff-8fff-ffffffffffff').toString('base64')
  const page = await place.signed('ListKeys', { Limit: 5, Marker })
  const KeyId = readBlob(Buffer.from(ciphertexts[0] ?? '', 'base64')).keyId
  const update = await place.signed('UpdateKeyDescription', { KeyId, Description: 'changed' })
  const rates = await place.serving(async (endpoint) => ({
    first: await rateOf(endpoint, decrypts, decrypts.length),
    again: await rateOf(endpoint, decrypts, MOST_REQUESTS),
    change: await rateOf(endpoint, [update], FEWER),
    list: await rateOf(endpoint, [page], FEWER),
  }))
  const begin = performance.now()
  const { seq } = verifyStoredAudit(place.store)
  return { ...rates, verify: (seq * 1000) / (performance.now() - begin) }
}

function addKeys(place: CurvePlace, ciphertexts: string[], count: number): void {
  using store = place.open()
  const kind = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' } as const
  store.transaction(() => {
    for (let made = ciphertexts.length; made < count; made++) {
      const fields = { description: '', policy: policy(made), publicKey: null, ...kind }
      const key = store.keys.create(fields, made)
      const material = randomBytes(32)
      store.materials.add(material, {
        ...{ keyId: key.id, number: 1, createdMs: made, cause: 'CREATED' },
      })
      const nextRotationMs = Date.now() + YEAR_MS + made
      store.keys.put({ ...key, material: 1, rotationDays: 365, nextRotationMs })
      const sealed = { keyId: key.id, context: {}, material, number: 1 }
      ciphertexts.push(Buffer.from(sealBlob(randomBytes(32), sealed)).toString('base64'))
    }
  })
}

const policy = (number: number): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        ...{ Sid: `Key ${String(number)}`, Effect: 'Allow', Principal: { AWS: ROOT_USER } },
        ...{ Action: 'kms:*', Resource: '*' },
      },
    ],
  })

function addEntries(place: CurvePlace, count: number): void {
  using store = place.open()
  for (let done = store.audit.length; done < count; done += BATCH) {
    store.transaction(() => {
      for (let one = 0; one < Math.min(BATCH, count - done); one++) store.audit.append(place.entry)
    })
  }
}
