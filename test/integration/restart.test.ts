// Restart rules: every start is an enclave of its own under the same name, until somebody stops it.

import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { verifyAttestation } from '@cloister/attestation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { requestDocument } from '../../src/cli/hello-client.ts'
import { identifyProcess } from '../../src/subprocess/index.ts'
import { guestRootfs } from '../fixtures/guest-program.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

interface Restarted extends DescribedEnclave {
  readonly Restart?: {
    readonly Rule: string
    readonly Count: number
    readonly Previous?: string
  }
}

let host: TestHost

beforeAll(async () => {
  host = new TestHost()
  await guestRootfs(host.directory, 'probe')
  mkdirSync(host.path('images'))
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** An image whose manifest has a restart rule, and whose app exits with a status. */
async function exiting(name: string, status: number, rule: string): Promise<string> {
  const manifest = host.path(`${name}.yaml`)
  const run = `{ entrypoint: [/probe, exit, "${String(status)}"] }`
  writeFileSync(
    manifest,
    `{cloister: 1, name: ${name}, version: "1", source: {rootfs: probe-rootfs}, run: ${run}, restart: ${rule}}`,
  )
  const eif = host.path(`images/${name}.eif`)
  await host.json('build', '--manifest', manifest, '--output-file', eif)
  return eif
}

async function all(name: string): Promise<readonly Restarted[]> {
  const enclaves = (await host.list('--all')) as readonly Restarted[]
  return enclaves.filter(({ EnclaveName }) => EnclaveName === name)
}

const long = { timeout: 120_000, interval: 200 }

/** The enclave of that name that runs after `count` restarts, as soon as it does. */
async function restarted(name: string, count: number): Promise<Restarted> {
  const look = async (): Promise<Restarted | undefined> =>
    (await all(name)).find(({ State, Restart }) => State === 'RUNNING' && Restart?.Count === count)
  await expect.poll(look, long).toBeDefined()
  const found = await look()
  if (found === undefined) throw new Error(`${name} has ended meanwhile`)
  return found
}

/** All of that name when one of them is alive: for a moment, one that has ended is too, beside the next. */
async function withOneAlive(name: string): Promise<{
  readonly enclaves: readonly Restarted[]
  readonly alive: Restarted | undefined
}> {
  let enclaves: readonly Restarted[] = []
  const alive = async (): Promise<readonly Restarted[]> => {
    enclaves = await all(name)
    return enclaves.filter(({ State }) => State !== 'TERMINATED')
  }
  await expect.poll(alive, long).toHaveLength(1)
  return { enclaves, alive: enclaves.find(({ State }) => State !== 'TERMINATED') }
}

function kill({ Processes }: DescribedEnclave, part = 'QEMU'): void {
  process.kill(Processes[part] ?? 0, 'SIGKILL')
}

test("an app that fails is started again as its manifest says, under its name, until it's stopped", async () => {
  const eif = await exiting('failing', 3, 'on-failure')
  const first = await host.start(eif)
  const twice = async (): Promise<number> =>
    (await all('failing')).filter(({ End }) => End?.ExitCode === 3).length
  await expect.poll(twice, long).toBeGreaterThanOrEqual(2)
  const { enclaves, alive } = await withOneAlive('failing')
  expect(alive).toMatchObject({
    EnclaveCID: first.EnclaveCID,
    ProcessID: first.ProcessID,
    Restart: { Rule: 'on-failure', Previous: enclaves.at(-2)?.EnclaveID },
  })
  expect(new Set(enclaves.map(({ EnclaveID }) => EnclaveID)).size).toBe(enclaves.length)
  // Also while it waits for its next start.
  await host.json('stop', '--enclave-name', 'failing')
  expect(identifyProcess(first.ProcessID)).toBeUndefined()
  const left = await all('failing')
  expect(left.every(({ State }) => State === 'TERMINATED')).toBe(true)
  expect(left.length).toBeLessThanOrEqual(4)
})

test('an app that ends well is not started again on failure, and is with --restart always', async () => {
  const eif = await exiting('ending', 0, 'on-failure')
  const { ProcessID, EnclaveID } = await host.start(eif)
  expect(await host.json('wait', '--enclave-id', EnclaveID)).toMatchObject({ End: { ExitCode: 0 } })
  await expect.poll(() => identifyProcess(ProcessID)).toBeUndefined()
  expect(await all('ending')).toHaveLength(1)
  const always = await host.start(eif, '--restart', 'always', '--enclave-name', 'again')
  // The end of this start; its keeper goes on with the next.
  const waited = await host.json('wait', '--enclave-id', always.EnclaveID, '--timeout', '60')
  expect(waited).toMatchObject({ State: 'TERMINATED', Restart: { Rule: 'always', Count: 0 } })
  const next = async (): Promise<number> => (await all('again')).length
  await expect.poll(next, long).toBeGreaterThanOrEqual(2)
  // Whoever names the first one by then stops them all the same, and a killed keeper leaves nothing.
  process.kill(always.ProcessID, 'SIGKILL')
  await expect.poll(async () => await host.list()).toEqual([])
  expect((await all('again')).at(-1)).toMatchObject({ End: { First: 'keeper' } })
})

test('a machine that dies is replaced by one with a new identity, if its image is still the same', async () => {
  const eif = await host.build('web')
  const first = await host.start(eif, '--restart', 'on-failure')
  kill(first)
  const second = await restarted('web', 1)
  expect(second).toMatchObject({
    EnclaveCID: first.EnclaveCID,
    Restart: { Previous: first.EnclaveID },
  })
  const document = await requestDocument(second.VsockSocket, Uint8Array.of(5))
  const root = new X509Certificate(readFileSync(join(host.state, 'authority/root.pem'))).raw
  const attestation = await verifyAttestation(document, { roots: [root], tpmEvidence: 'require' })
  expect(attestation.moduleId).toBe(second.EnclaveID)
  expect(second.EnclaveID).not.toBe(first.EnclaveID)

  // A start that fails is tried again, too.
  renameSync(eif, `${eif}.away`)
  kill(second)
  const failed = async (): Promise<string | undefined> =>
    (await all('web')).find(({ End }) => End?.First === 'start')?.End?.Reason
  await expect.poll(failed, long).toContain('ERR_EIF_UNREADABLE')
  renameSync(`${eif}.away`, eif)
  const alive = async (): Promise<number> =>
    (await all('web')).find(({ State }) => State === 'RUNNING')?.Restart?.Count ?? 0
  await expect.poll(alive, long).toBeGreaterThanOrEqual(3)

  copyFileSync(await exiting('other', 0, 'no'), eif)
  const last = await restarted('web', await alive())
  kill(last)
  await expect.poll(() => identifyProcess(last.ProcessID), long).toBeUndefined()
  expect((await all('web')).at(-1)).toMatchObject({
    State: 'TERMINATED',
    End: { First: 'start', Reason: expect.stringContaining('ERR_KEEPER_IMAGE_CHANGED') as string },
  })
})
