// The machine's chip and its authority: made once however many ask, refused when their state is not
// what it was, and certificates that openssl accepts.

import { execFile } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openHostChip, startVirtualTpm, type HostChip } from '../../src/chip/index.ts'
import { buildToolkit, fixtureScript } from '../fixtures/built-toolkit.ts'
import { runningSwtpms } from '../fixtures/processes.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

const run = promisify(execFile)
const HANDED_OUT_UID = 64_998
const YEAR_MS = 366 * 24 * 60 * 60 * 1000

let directory: TemporaryDirectory
const state = (...parts: string[]): string => directory.join('state', ...parts)
const open = (): Promise<HostChip> => openHostChip(state())

beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(async () => {
  expect(runningSwtpms()).toEqual([])
  await directory[Symbol.asyncDispose]()
})

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
const akSpki = publicKey.export({ format: 'der', type: 'spki' })
const moduleIdOn = (chip: HostChip): string => `${chip.instanceId}-enc0123456789abcdef`
const issue = (chip: HostChip, at = new Date()): ReturnType<HostChip['issueLeaf']> =>
  chip.issueLeaf({ akSpki, moduleId: moduleIdOn(chip), at })

describe('first use', () => {
  beforeAll(buildToolkit)

  it('by three processes at once makes one chip, which certifies for all of them', async () => {
    const script = fixtureScript('host-chip-user.mjs')
    const users = await Promise.all(
      [1, 2, 3].map(() => run(process.execPath, [script, state(), '3'])),
    )
    const results = users.map(
      ({ stdout }) =>
        JSON.parse(stdout) as { instanceId: string; root: string; certificates: string[] },
    )
    const { instanceId, chain } = await open()
    expect(results.map((result) => result.instanceId)).toEqual([instanceId, instanceId, instanceId])
    const issuer = new X509Certificate(chain[1])
    const leaves = results.flatMap((result) => result.certificates)
    expect(leaves.length).toBe(9)
    for (const leaf of leaves) {
      expect(new X509Certificate(Buffer.from(leaf, 'base64')).verify(issuer.publicKey)).toBe(true)
    }
    expect((await readdir(state())).sort()).toEqual(['authority', 'chip'])
  })

  it('keeps private what is private', async () => {
    await openHostChip(state(), { confinement: { uid: HANDED_OUT_UID } })
    const found = await Promise.all(
      ['authority', 'authority/key.pem', 'chip', 'chip/chip.json', 'chip/tpm'].map(async (path) => {
        const { mode, uid } = await stat(state(path))
        return [path, (mode & 0o777).toString(8), uid]
      }),
    )
    expect(found).toEqual([
      ['authority', '700', 0],
      ['authority/key.pem', '600', 0],
      ['chip', '700', 0],
      ['chip/chip.json', '600', 0],
      ['chip/tpm', '700', HANDED_OUT_UID],
    ])
    expect(await readFile(state('authority/key.pem'), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY/)
  })

  it('decides the user of the chip: a later opener with another one changes nothing', async () => {
    const first = await openHostChip(state(), { confinement: { uid: HANDED_OUT_UID } })
    const second = await openHostChip(state(), { confinement: { uid: HANDED_OUT_UID + 1 } })
    await issue(second)
    await issue(first)
    expect((await stat(state('chip/tpm'))).uid).toBe(HANDED_OUT_UID)
  })

  it('removes what a killed creator left long ago, and nothing younger', async () => {
    await open()
    await rm(state('chip'), { recursive: true })
    await cp(state('authority'), state('chip.new-abandoned'), { recursive: true })
    await cp(state('authority'), state('chip.new-alive'), { recursive: true })
    await run('touch', ['-d', '1 hour ago', state('chip.new-abandoned')])
    await open()
    expect((await readdir(state())).sort()).toEqual(['authority', 'chip', 'chip.new-alive'])
  })
})

describe('certificates', () => {
  it('are accepted by openssl, also with -x509_strict', async () => {
    const chip = await open()
    const { certificate, cabundle } = await issue(chip)
    const names = ['root.pem', 'chip.pem', 'leaf.pem'].map((name) => directory.join(name))
    for (const [index, der] of [...cabundle, certificate].entries()) {
      await writeFile(names[index] ?? '', new X509Certificate(der).toString())
    }
    const [root = '', intermediate = '', leaf = ''] = names
    const { stdout } = await run('openssl', [
      ...['verify', '-x509_strict', '-CAfile', root, '-untrusted', intermediate, leaf],
    ])
    expect(stdout).toBe(`${leaf}: OK\n`)
    expect([...cabundle, certificate].every((der) => der.length <= 1024)).toBe(true)
  })

  it('say what they are: names, key, lifetime and the chip as the only CA below the root', async () => {
    const chip = await open()
    const at = new Date('2026-12-31T23:59:59.999Z')
    const { certificate, cabundle, notAfter } = await issue(chip, at)
    const [root, issuer, leaf] = [...cabundle, certificate].map((der) => new X509Certificate(der))
    expect(root?.subject).toMatch(
      /^O=Cloister\nOU=development\nCN=Cloister development authority [0-9a-f]{8}$/,
    )
    expect(issuer?.subject).toBe(`O=Cloister\nOU=software-tpm\nCN=${chip.instanceId}.cloister`)
    expect(leaf?.subject).toBe(`O=Cloister\nOU=software-tpm\nCN=${moduleIdOn(chip)}`)
    expect([root?.ca, issuer?.ca, leaf?.ca]).toEqual([true, true, false])
    expect(leaf?.publicKey.equals(publicKey)).toBe(true)
    expect(leaf?.validFrom).toBe('Dec 31 23:59:56 2026 GMT')
    expect(leaf?.validTo).toBe('Jan  1 02:59:59 2027 GMT')
    expect(notAfter.getTime() - at.getTime()).toBe(3 * 60 * 60 * 1000)
    expect(chip.instanceId).toMatch(/^i-[0-9a-f]{17}$/)
    expect(chip.rootDer).toEqual(chip.chain[0])
  })

  it('are refused when the chip certificate has expired, or for another kind of key', async () => {
    const chip = await open()
    const late = issue(chip, new Date(Date.now() + 11 * YEAR_MS))
    await expect(late).rejects.toMatchObject({ code: 'ERR_CHIP_CERTIFICATE_EXPIRED' })
    const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey
    const other = chip.issueLeaf({
      akSpki: p256.export({ format: 'der', type: 'spki' }),
      ...{ moduleId: moduleIdOn(chip), at: new Date() },
    })
    await expect(other).rejects.toMatchObject({ code: 'ERR_CHIP_KEY_UNSUPPORTED' })
  })

  it('never exceed what a document can carry', async () => {
    const chip = await open()
    const moduleId = 'x'.repeat(600)
    const tooLong = chip.issueLeaf({ akSpki, moduleId, at: new Date() })
    await expect(tooLong).rejects.toMatchObject({ code: 'ERR_CHIP_CERTIFICATE_SIZE' })
  })
})

describe('a state that is not what it was', () => {
  const permall = (): string => state('chip/tpm/tpm2-00.permall')

  it.each([
    ['is gone', () => rm(permall()), 'ERR_CHIP_STATE_MISSING'],
    ['is empty', () => truncate(permall()), 'ERR_CHIP_STATE_MISSING'],
    ['is cut short', () => truncate(permall(), 1000), 'ERR_CHIP_TPM_START'],
    ['is that of another TPM', () => replaceTpmState(permall()), 'ERR_CHIP_STATE_CHANGED'],
  ])('refuses to certify when the TPM state %s', async (_, damage, code) => {
    const chip = await open()
    await damage()
    await expect(issue(chip)).rejects.toMatchObject({ code })
  })

  it.each([
    ['the TPM state', 'chip/tpm/tpm2-00.permall', 'ERR_CHIP_STATE_MISSING'],
    ['chip.json', 'chip/chip.json', 'ERR_CHIP_STATE_MISSING'],
    ['the chip certificate', 'chip/certificate.pem', 'ERR_CHIP_STATE_MISSING'],
    ['the authority', 'authority/root.pem', 'ERR_CHIP_STATE_MISSING'],
  ])('refuses to open without %s, and makes no new one', async (_, path, code) => {
    await open()
    await rm(state(path))
    await expect(open()).rejects.toMatchObject({ code })
    await expect(stat(state(path))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each([
    ['chip.json with another key', 'chip/chip.json', `{"version":1,"akName":"${'0'.repeat(100)}"}`],
    ['chip.json of a later version', 'chip/chip.json', '{"version":2}'],
    ['chip.json that is not JSON', 'chip/chip.json', 'null,'],
    ['a chip certificate that is none', 'chip/certificate.pem', 'certificate'],
  ])('refuses %s', async (_, path, content) => {
    await open()
    await writeFile(state(path), content)
    await expect(open()).rejects.toMatchObject({ code: 'ERR_CHIP_STATE_INVALID' })
  })

  it('refuses a chip that another authority has certified', async () => {
    await open()
    await openHostChip(directory.join('other'))
    await cp(directory.join('other', 'authority'), state('authority'), { recursive: true })
    await expect(open()).rejects.toMatchObject({ code: 'ERR_CHIP_STATE_INVALID' })
  })
})

/** Puts the state of another, healthy TPM in its place, as a rollback or a swap of files does. */
async function replaceTpmState(path: string): Promise<void> {
  const stateDir = directory.join('another')
  await using tpm = await startVirtualTpm({ stateDir })
  await tpm.getRandom(1)
  await cp(`${stateDir}/tpm2-00.permall`, path)
}
