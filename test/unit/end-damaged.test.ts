// Enclaves whose record is damaged: only their keeper can end them, which listens in their directory.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { endDamaged, Registry, writeRecord, type RunningRecord } from '../../src/enclaves/index.ts'
import type { CloisterError } from '../../src/errors.ts'
import { serveKeeperSocket } from '../../src/keeper/keeper-socket.ts'
import { runningRecord, startingRecord } from '../fixtures/enclave-record.ts'

const ID = 'i-1'

let runtime: string
let registry: Registry
let running: RunningRecord
let server: Server | undefined

beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'cloister-damaged-'))
  registry = new Registry(runtime)
  const { description } = registry.claim(startingRecord(ID))
  running = { ...runningRecord(ID), description, keeper: { pid: process.pid, startTime: 1 } }
  writeRecord(registry.directory(ID), running)
  writeFileSync(join(registry.directory(ID), 'record.json'), '{')
})

afterEach(() => {
  server?.close()
  server = undefined
  rmSync(runtime, { recursive: true, force: true })
})

/** The real socket of a keeper; `terminate` gets what a keeper closes by its own end. */
async function serve(terminate: (graceMs: number, end: () => void) => void): Promise<void> {
  const clients: Socket[] = []
  const end = (): void => {
    for (const client of clients) client.end()
  }
  const nothing = (): undefined => undefined
  server = await serveKeeperSocket(registry.directory(ID), {
    ...{ console: nothing, vsock: nothing, network: nothing, nsm: nothing, inspect: nothing },
    terminate: (graceMs) => {
      setImmediate(terminate, graceMs, end)
    },
  })
  server.on('connection', (client) => clients.push(client))
}

function endIt(graceMs = 0): ReturnType<typeof endDamaged> {
  const [damage] = registry.damaged()
  if (damage === undefined) throw new Error('the record is whole')
  return endDamaged(registry, ID, { damage, graceMs })
}

test('its keeper is asked, and what the keeper has recorded is returned', async () => {
  const graces: number[] = []
  await serve((graceMs, end) => {
    graces.push(graceMs)
    const at = '2026-01-01T00:00:00Z'
    registry.finish(running, { at, first: 'request', reason: '', livedMs: 1 })
    end()
  })
  expect(await endIt(70)).toMatchObject({ id: ID, state: 'TERMINATED' })
  expect(graces).toEqual([70])
  expect(registry.damaged()).toEqual([])
})

test('without a keeper nothing is signalled or removed, and it is told what to remove', async () => {
  const error: unknown = await endIt().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'ERR_KEEPER_RECORD' })
  expect((error as CloisterError).hint).toContain(`remove ${registry.directory(ID)}`)
  expect(registry.damaged()).toHaveLength(1)
})

test('a keeper that does not end is reported, and left alone', async () => {
  await serve(() => undefined)
  await expect(endIt()).rejects.toMatchObject({ code: 'ERR_KEEPER_STOP' })
})
