// The virtual TPM on a real swtpm. Expected values are computed here, with node:crypto.

import { nvIndexOf } from '@cloister/attestation/tpm'
import { createPublicKey, verify, webcrypto } from 'node:crypto'
import { readdir, readFile, stat, writeFile, mkdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signerOf, startVirtualTpm, type SoftwareTpm } from '../../src/chip/index.ts'
import { responseCodeOf } from '../../src/chip/tpm/command.ts'
import { defineNvPcr } from '../../src/chip/tpm/nv-pcr.ts'
import { manufacture } from '../../src/chip/tpm/startup.ts'
import { startSwtpm } from '../../src/chip/tpm/swtpm.ts'
import { sha384, ZERO_PCR } from '../fixtures/launched-nsm.ts'
import { isAlive } from '../fixtures/processes.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const TPM_GENERATED = Buffer.from('ff544347', 'hex')
const HANDED_OUT_UID = 64_997

let directory: TemporaryDirectory
let tpm: SoftwareTpm

beforeAll(async () => {
  directory = await temporaryDirectory()
  tpm = await startVirtualTpm({ stateDir: directory.join('shared') })
})
afterAll(async () => {
  await tpm[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

async function refusalCode(refused: Promise<unknown>): Promise<number | undefined> {
  return refused.then(
    () => 0,
    (error: unknown) => responseCodeOf(error),
  )
}

describe('the attestation key', () => {
  const publicKey = (): ReturnType<typeof createPublicKey> =>
    createPublicKey({ key: Buffer.from(tpm.ak.spki), format: 'der', type: 'spki' })

  it('is restricted, bound to this TPM, free of lockout, P-384 for ECDSA with SHA-384', () => {
    const template = '0023000c00050472000000100018000c00040010'
    expect(Buffer.from(tpm.ak.publicArea).toString('hex').slice(0, 40)).toBe(template)
    expect(publicKey().asymmetricKeyDetails).toEqual({ namedCurve: 'secp384r1' })
    const name = Buffer.concat([Buffer.from('000c', 'hex'), sha384(tpm.ak.publicArea)])
    expect(Buffer.from(tpm.ak.name).equals(name)).toBe(true)
  })

  it.each([0, 1, 1024, 1025, 2048, 3000, 16_384])('signs a message of %i bytes', async (length) => {
    const message = new Uint8Array(length).fill(0x84)
    const signature = await tpm.sign(message)
    expect(signature.length).toBe(96)
    const key = { key: publicKey(), dsaEncoding: 'ieee-p1363' } as const
    expect(verify('sha384', message, key, signature)).toBe(true)
  })

  it.each([4, 1000, 5000])('refuses %i bytes that begin like an attestation', async (length) => {
    const message = Buffer.concat([TPM_GENERATED, new Uint8Array(length - 4)])
    expect(await refusalCode(tpm.sign(message))).toBe(0x3e0)
  })

  it('signs many messages asked for at once', async () => {
    const messages = Array.from({ length: 12 }, (_, index) => new Uint8Array(2000).fill(index))
    const signatures = await Promise.all(messages.map((message) => tpm.sign(message)))
    const key = { key: publicKey(), dsaEncoding: 'ieee-p1363' } as const
    const valid = signatures.map((signature, index) =>
      verify('sha384', messages[index] ?? ZERO_PCR, key, signature),
    )
    expect(valid).toEqual(messages.map(() => true))
  })

  it('signs through WebCrypto, with SHA-384 alone, and cannot be exported', async () => {
    const { subtle, privateKey } = await signerOf(tpm)
    const message = new TextEncoder().encode('message')
    const curve = { name: 'ECDSA', namedCurve: 'P-384' }
    const es384 = { name: 'ECDSA', hash: 'SHA-384' }
    const signature = await subtle.sign(es384, privateKey, message)
    const key = await webcrypto.subtle.importKey('spki', tpm.ak.spki, curve, true, ['verify'])
    expect(await webcrypto.subtle.verify(es384, key, signature, message)).toBe(true)
    const sha256 = { name: 'ECDSA', hash: 'SHA-256' }
    await expect(subtle.sign(sha256, privateKey, message)).rejects.toThrow()
    await expect(subtle.exportKey('pkcs8', privateKey)).rejects.toThrow()
  })
})

describe('PCRs', () => {
  it('extends a TPM PCR with 48 bytes', async () => {
    const digest = sha384('measured')
    await tpm.extend(9, digest)
    await tpm.extend(9, digest)
    const expected = sha384(sha384(ZERO_PCR, digest), digest)
    expect((await tpm.readPcrs([9])).get(9)).toEqual(expected)
  })

  it('reads sixteen PCRs although a TPM returns eight at a time', async () => {
    const all = Array.from({ length: 16 }, (_, pcr) => pcr)
    const values = await tpm.readPcrs(all)
    expect([...values.keys()].sort((a, b) => a - b)).toEqual(all)
    expect(values.get(15)).toEqual(ZERO_PCR)
  })

  it('extends an NV index with data of any length from 1 to 1024', async () => {
    await tpm.defineNv(16)
    let expected: Uint8Array = ZERO_PCR
    for (const length of [48, 1, 7, 512, 1024]) {
      const data = new Uint8Array(length).fill(length)
      await tpm.extendNv(16, data)
      expected = sha384(expected, data)
      expect(await tpm.readNv(16)).toEqual(expected)
    }
  })

  it('cannot extend, and cannot define again, an NV index that is locked', async () => {
    await tpm.defineNv(17)
    await tpm.extendNv(17, Uint8Array.of(1))
    await tpm.lockNv(17)
    expect(await refusalCode(tpm.extendNv(17, Uint8Array.of(2)))).toBe(0x148)
    expect(await refusalCode(tpm.defineNv(17))).toBe(0x14c)
    expect(await tpm.readNv(17)).toEqual(sha384(ZERO_PCR, Uint8Array.of(1)))
  })

  it('locks an NV index that was never written: it stays empty', async () => {
    await tpm.defineNv(18)
    await tpm.lockNv(18)
    expect(await refusalCode(tpm.extendNv(18, Uint8Array.of(1)))).toBe(0x148)
    expect(await tpm.readNv(18)).toBeUndefined()
    expect(await refusalCode(tpm.certifyNv(18, ZERO_PCR))).toBe(0x14a)
  })

  it('certifies a locked, written index with the attributes that a verifier asks for', async () => {
    const { nvPublic } = await tpm.certifyNv(17, ZERO_PCR)
    expect(Buffer.from(nvPublic).toString('hex')).toBe(
      `01400211000c6a064c440030${'ff'.repeat(48)}0030`,
    )
  })

  it.each([
    ['owner', 0x40000001],
    ['platform', 0x4000000c],
  ])('lets the %s hierarchy undefine no NV index', async (_, hierarchy) => {
    const stateDir = directory.join(`undefine-${String(hierarchy)}`)
    await mkdir(stateDir)
    const swtpm = await startSwtpm({ stateDir, confinement: {} })
    await manufacture(swtpm)
    await defineNvPcr(swtpm, 3)
    // TPM2_NV_UndefineSpace with an empty password: the chip itself never sends it.
    const words = [0x0122, hierarchy, nvIndexOf(3), 9, 0x40000009].map((word) =>
      word.toString(16).padStart(8, '0'),
    )
    const command = Buffer.from(`80020000001f${words.join('')}0000000000`, 'hex')
    const response = Buffer.from(await swtpm.transmit(command))
    await swtpm.stop()
    expect(response.readUInt32BE(6)).toBe(0x282)
  })
})

describe('its process and state', () => {
  it('runs as the user given, without privileges, under seccomp, in a directory of 0700', async () => {
    const stateDir = directory.join('confined', 'tpm')
    await using confined = await startVirtualTpm({ stateDir, confinement: { uid: HANDED_OUT_UID } })
    const status = await readFile(`/proc/${String(confined.process.pid)}/status`, 'utf8')
    expect(status).toMatch(new RegExp(`^Uid:(\\s${String(HANDED_OUT_UID)}){4}$`, 'm'))
    expect(status).toMatch(/^CapBnd:\s0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\s1$/m)
    expect(status).toMatch(/^Seccomp:\s2$/m)
    const { mode, uid } = await stat(stateDir)
    expect([mode & 0o777, uid]).toEqual([0o700, HANDED_OUT_UID])
  })

  it('is gone, with its state, once disposed; also when disposed twice', async () => {
    const stateDir = directory.join('short')
    const short = await startVirtualTpm({ stateDir })
    await Promise.all([short[Symbol.asyncDispose](), short[Symbol.asyncDispose]()])
    await short.process.ended
    expect(isAlive(short.process.pid)).toBe(false)
    expect(await readdir(directory.path)).not.toContain('short')
    await expect(short.getRandom(1)).rejects.toMatchObject({ code: 'ERR_CHIP_TPM_GONE' })
  })

  it('never starts in a directory that holds something', async () => {
    const stateDir = directory.join('taken')
    await mkdir(stateDir)
    await writeFile(directory.join('taken', 'tpm2-00.permall'), 'of another enclave')
    const started = startVirtualTpm({ stateDir })
    await expect(started).rejects.toMatchObject({ code: 'ERR_CHIP_STATE_EXISTS' })
  })

  it('has another key than every other TPM', async () => {
    await using other = await startVirtualTpm({ stateDir: directory.join('other') })
    expect(Buffer.from(other.ak.spki).equals(tpm.ak.spki)).toBe(false)
  })
})
