// A disk that is full, a read-only file system, a clock that is set back: the broker says so, loses
// nothing that it acknowledged, and continues when the fault is over.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import {
  CreateKeyCommand,
  DescribeKeyCommand,
  ListKeysCommand,
  ScheduleKeyDeletionCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyStoredAudit } from '../../src/kms/index.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { RunningBroker } from '../fixtures/kms/running-broker.ts'

const DAY_MS = 24 * 3600 * 1000
let broker: RunningBroker
beforeEach(async () => {
  broker = await RunningBroker.start()
})
afterEach(() => broker[Symbol.asyncDispose]())

const refusal = (sent: Promise<unknown>): Promise<string> =>
  sent.then(
    () => 'done',
    (error: unknown) => (error as Error).name,
  )

describe('on a small file system', () => {
  let disk: string
  let store: string
  let client: KMSClient
  const mount = (...args: readonly string[]): void => {
    execFileSync('mount', [...args, disk])
  }

  beforeEach(async () => {
    disk = broker.path('disk')
    store = broker.path('disk/store')
    mkdirSync(disk)
    mount('-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'none')
    client = broker.client('root')
    await restart()
  })
  afterEach(async () => {
    client.destroy()
    await broker.stop()
    execFileSync('umount', [disk])
  })

  async function restart(): Promise<void> {
    await broker.restart({ store })
    client.destroy()
    client = broker.client('root')
  }

  const newKey = async (): Promise<string> => {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
    return KeyMetadata?.KeyId ?? ''
  }

  async function keysAndLog(): Promise<number> {
    const { Keys = [] } = await client.send(new ListKeysCommand({ Limit: 1000 }))
    await broker.stop()
    verifyStoredAudit(store)
    await restart()
    return Keys.length
  }

  test('a full disk is reported, and requests succeed again once there is room', async () => {
    const made = [await newKey()]
    const ballast = `${disk}/ballast`
    fill(ballast)
    let refused = 'done'
    while (refused === 'done') {
      const sent = newKey().then((id) => made.push(id))
      refused = await refusal(sent)
    }
    expect(refused).toBe('KMSInternalException')
    expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_STORE' }])
    expect((broker.faults[0] as Error).message).toMatch(/full/)
    rmSync(ballast)
    made.push(await newKey())
    expect(await keysAndLog()).toBe(made.length)
    await client.send(new DescribeKeyCommand({ KeyId: made.at(-1) }))
  })

  test('a read-only one is reported at the start, and nothing in it changes', async () => {
    await newKey()
    await broker.stop()
    mount('-o', 'remount,ro')
    expect(await codeOf(broker.restart({ store }))).toBe('ERR_KMS_STORE')
    mount('-o', 'remount,rw')
    await restart()
    expect(await keysAndLog()).toBe(1)
  })
})

test('a file system that becomes read-only is reported, and nothing that was acknowledged is lost', async () => {
  const [image, disk] = [broker.path('disk.img'), broker.path('ext4')]
  const copy = broker.path('copy.img')
  const store = `${disk}/store`
  mkdirSync(disk)
  execFileSync('truncate', ['--size=20M', image])
  execFileSync('mkfs.ext4', ['-q', image])
  const mount = (file: string) =>
    execFileSync('mount', ['-o', 'loop,errors=remount-ro', file, disk])
  mount(image)
  try {
    await broker.restart({ store })
    const client = broker.client('root')
    const made: (string | undefined)[] = []
    const create = async (): Promise<void> => {
      made.push((await client.send(new CreateKeyCommand({}))).KeyMetadata?.KeyId)
    }
    for (let count = 0; count < 5; count++) await create()
    const device = execFileSync('findmnt', ['-no', 'SOURCE', disk], { encoding: 'utf8' }).trim()
    writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, '1')
    for (const sent of [create(), create(), client.send(new ListKeysCommand({}))])
      expect(await refusal(sent)).toBe('KMSInternalException')
    expect(broker.faults[0]).toMatchObject({ code: 'ERR_KMS_STORE' })
    client.destroy()
    await broker.stop().catch((fault: unknown) => broker.faults.push(fault))
    execFileSync('umount', [disk])
    // Another process's mount namespace may hold the file system with the fault: what is on the disk is mounted anew.
    execFileSync('sync', [image])
    execFileSync('cp', [image, copy])
    mount(copy)
    await broker.restart({ store })
    const again = broker.client('root')
    const { Keys = [] } = await again.send(new ListKeysCommand({}))
    expect(Keys.map(({ KeyId }) => KeyId).toSorted()).toEqual(made.toSorted())
    again.destroy()
    await broker.stop()
    verifyStoredAudit(store)
  } finally {
    // It may be unmounted.
    spawnSync('umount', [disk])
  }
})

/** Leaves no room. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
  } finally {
    closeSync(file)
  }
}

test('a clock that was set back is reported at the start, and deletes nothing', async () => {
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId
  await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
  client.destroy()
  expect(broker.faults).toEqual([])
  const behind = 30 * DAY_MS
  await broker.restart({ now: () => Date.now() - behind })
  expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_CLOCK' }])
  const late = broker.client('root', -behind)
  const described = await late.send(new DescribeKeyCommand({ KeyId }))
  expect(described.KeyMetadata?.KeyState).toBe('PendingDeletion')
  late.destroy()
  await broker.restart()
  expect(broker.faults).toHaveLength(1)
})

test('a clock that is set back meanwhile is reported once, and requests go on', async () => {
  let behindMs = 0
  await broker.restart({ now: () => Date.now() - behindMs })
  const describe = async (KeyId: string | undefined): Promise<string | undefined> => {
    const client = broker.client('root', -behindMs)
    const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
    client.destroy()
    return KeyMetadata?.KeyState
  }
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(new CreateKeyCommand({}))
  const KeyId = KeyMetadata?.KeyId
  await client.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
  client.destroy()
  behindMs = 30 * DAY_MS
  for (let count = 0; count < 3; count++) expect(await describe(KeyId)).toBe('PendingDeletion')
  expect(broker.faults).toMatchObject([{ code: 'ERR_KMS_CLOCK' }])
  behindMs = 0
  expect(await describe(KeyId)).toBe('PendingDeletion')
  expect(broker.faults).toHaveLength(1)
})
