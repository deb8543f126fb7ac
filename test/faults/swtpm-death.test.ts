// swtpm dies under its users: they all learn it by a coded error, and nothing is left behind.

import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { beforeAll, expect, it } from 'vitest'
import { startVirtualTpm } from '../../src/chip/index.ts'
import { buildToolkit, fixtureScript } from '../fixtures/built-toolkit.ts'
import { launchedNsm, refusal, sha384 } from '../fixtures/launched-nsm.ts'
import { nextLine, once } from '../fixtures/once.ts'
import { isAlive, runningSwtpms } from '../fixtures/processes.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

beforeAll(buildToolkit)

it('gives everyone who waits ERR_CHIP_TPM_GONE when swtpm is killed', async () => {
  await using directory = await temporaryDirectory()
  const tpm = await startVirtualTpm({ stateDir: directory.join('tpm') })
  const message = new Uint8Array(4000)
  const waiting = Array.from({ length: 50 }, () =>
    tpm.sign(message).then(
      () => 'signed',
      (error: unknown) => (error as { code?: string }).code,
    ),
  )
  process.kill(tpm.process.pid, 'SIGKILL')
  expect(await tpm.process.ended).toEqual({ code: null, signal: 'SIGKILL' })
  const outcomes = new Set(await Promise.all(waiting))
  outcomes.delete('signed')
  expect([...outcomes]).toEqual(['ERR_CHIP_TPM_GONE'])
  await expect(tpm.getRandom(1)).rejects.toMatchObject({ code: 'ERR_CHIP_TPM_GONE' })
  await tpm[Symbol.asyncDispose]()
  expect(await readdir(directory.path)).toEqual([])
  expect(runningSwtpms()).toEqual([])
})

it('answers the guest with InternalError, and tells the host why', async () => {
  await using enclave = await launchedNsm()
  process.kill(enclave.tpm.process.pid, 'SIGKILL')
  await enclave.tpm.process.ended
  expect(await enclave.ask({ Attestation: {} })).toEqual(refusal('InternalError'))
  expect(await enclave.ask('GetRandom')).toEqual(refusal('InternalError'))
  expect(enclave.incidents).toMatchObject([
    { type: 'fault', request: 'Attestation', error: { code: 'ERR_CHIP_TPM_GONE' } },
    { type: 'fault', request: 'GetRandom', error: { code: 'ERR_CHIP_TPM_GONE' } },
  ])
})

it('ends when disposed although it hangs', async () => {
  await using directory = await temporaryDirectory()
  const tpm = await startVirtualTpm({ stateDir: directory.join('tpm') })
  process.kill(tpm.process.pid, 'SIGSTOP')
  const waiting = tpm.getRandom(1).catch((error: unknown) => (error as { code?: string }).code)
  await tpm[Symbol.asyncDispose]()
  expect(await waiting).toBe('ERR_CHIP_TPM_GONE')
  expect(isAlive(tpm.process.pid)).toBe(false)
})

it('refuses to attest PCRs that somebody else has extended', async () => {
  await using enclave = await launchedNsm()
  await enclave.tpm.extend(0, sha384('something else'))
  expect(await enclave.ask({ Attestation: {} })).toEqual(refusal('InternalError'))
  expect(enclave.incidents).toMatchObject([
    { type: 'fault', request: 'Attestation', error: { code: 'ERR_NSM_QUOTE_MISMATCH' } },
  ])
})

it('ends with its owner, also when that is killed', async () => {
  await using directory = await temporaryDirectory()
  const script = fixtureScript('virtual-tpm-owner.mjs')
  const owner = spawn(process.execPath, [script, directory.join('tpm')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = Number(await nextLine(owner))
  expect(isAlive(pid)).toBe(true)
  owner.kill('SIGKILL')
  await once(owner, 'exit')
  await expect.poll(() => isAlive(pid), { interval: 20 }).toBe(false)
})
