// What a host chip keeps on disk, under `<stateDir>/chip` (0700):
//   chip.json         which TPM it is: the Name of its key is pinned here
//   certificate.pem   from the authority: a CA with pathLen 0
//   tpm/              the state of its swtpm, owned by swtpm's user
// swtpm makes a new TPM, silently, when its state is gone: hence the pin.

import { createHash, X509Certificate } from 'node:crypto'
import { lstat, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, CloisterError } from '../errors.ts'
import type { Confinement } from '../subprocess/index.ts'
import {
  EARLY_MS,
  openAuthority,
  pemOf,
  readCertificate,
  readRootDer,
  readStateFile,
  yearsAfter,
} from './authority.ts'
import type { Assurance, DistinguishedName } from './certificate.ts'
import { loadIssuing } from './issuing.ts'
import { makeDirectoryOnce } from './staged-directory.ts'
import { nameOfSpki } from './tpm/attestation-key.ts'
import { manufacturePersistentTpm } from './software-tpm.ts'

/** A host chip as it is on disk, its parts checked against each other. */
export interface ChipState {
  /** `i-<17 hex>`, from the chip's public key. */
  readonly instanceId: string
  readonly assurance: Assurance
  /** The pinned TPM Name of the chip's key, 50 bytes. */
  readonly akName: Uint8Array
  /** DER SubjectPublicKeyInfo of the chip's key. */
  readonly spki: Uint8Array
  readonly subject: DistinguishedName
  /** DER certificates. */
  readonly root: Uint8Array
  readonly certificate: Uint8Array
  readonly tpmDir: string
}

const ASSURANCE = 'software-tpm'
const CHIP_YEARS = 10

/** Makes `<stateDir>/chip`, and the authority that certifies it, unless they are there. */
export async function makeChipOnce(stateDir: string, confinement: Confinement): Promise<void> {
  await makeDirectoryOnce(chipDirectory(stateDir), (staging) =>
    makeChip(staging, stateDir, confinement),
  )
}

/**
 * Reads a host chip and checks that its certificate is the authority's and names its pinned key.
 * @throws ERR_CHIP_STATE_MISSING, ERR_CHIP_STATE_INVALID
 */
export async function readChipState(stateDir: string): Promise<ChipState> {
  const directory = chipDirectory(stateDir)
  const akName = parseChipJson(await readStateFile(join(directory, 'chip.json')))
  const root = await readRootDer(stateDir)
  const certificate = await readCertificate(join(directory, 'certificate.pem'))
  const spki = checkCertificate(certificate, root)
  const pinned = Buffer.from(nameOfSpki(spki)).equals(akName)
  check(pinned, 'ERR_CHIP_STATE_INVALID', 'certificate.pem is not for the key in chip.json')
  const instanceId = instanceIdOf(spki)
  const tpmDir = join(directory, 'tpm')
  const subject = chipName(instanceId)
  return { instanceId, assurance: ASSURANCE, akName, spki, subject, root, certificate, tpmDir }
}

/** @throws ERR_CHIP_STATE_MISSING when swtpm would find nothing and make a new TPM. */
export async function checkTpmStatePresent(tpmDir: string): Promise<void> {
  const path = join(tpmDir, 'tpm2-00.permall')
  const size = await lstat(path).then(
    (found) => found.size,
    () => 0,
  )
  check(size > 0, 'ERR_CHIP_STATE_MISSING', `the chip's TPM state ${path} is missing`, {
    details: { path },
  })
}

/** The owner of the TPM's state runs its swtpm: the user was chosen when the chip was made. */
export async function confinementOf(tpmDir: string): Promise<Confinement> {
  const { uid } = await stat(tpmDir)
  return uid === process.getuid?.() ? {} : { uid }
}

async function makeChip(
  staging: string,
  stateDir: string,
  confinement: Confinement,
): Promise<void> {
  const { issueCertificate } = await loadIssuing()
  const authority = await openAuthority(stateDir)
  const { name, spki } = await makeTpm(join(staging, 'tpm'), confinement)
  const notBefore = new Date(Date.now() - EARLY_MS)
  const certificate = await issueCertificate(
    {
      ...{ role: 'chip', subject: chipName(instanceIdOf(spki)), subjectSpki: spki },
      ...{ issuer: authority.subject, issuerSpki: authority.spki },
      ...{ notBefore, notAfter: yearsAfter(notBefore, CHIP_YEARS) },
    },
    authority.signer,
  )
  const pin = { version: 1, akName: Buffer.from(name).toString('hex') }
  await writeFile(join(staging, 'certificate.pem'), pemOf(certificate), { mode: 0o644 })
  await writeFile(join(staging, 'chip.json'), `${JSON.stringify(pin)}\n`, { mode: 0o600 })
}

// The TPM is stopped before its directory is renamed: the lock belongs to the finished chip.
async function makeTpm(
  stateDir: string,
  confinement: Confinement,
): Promise<{ name: Uint8Array; spki: Uint8Array }> {
  await using tpm = await manufacturePersistentTpm({ stateDir, confinement })
  return tpm.ak
}

function parseChipJson(json: Buffer): Buffer {
  const invalid = 'chip.json is not what Cloister wrote'
  let parsed: unknown
  try {
    parsed = JSON.parse(json.toString('utf8'))
  } catch (cause) {
    throw new CloisterError('ERR_CHIP_STATE_INVALID', invalid, { cause })
  }
  const { version, akName } = (parsed ?? {}) as { version?: unknown; akName?: unknown }
  const valid = version === 1 && typeof akName === 'string' && /^[0-9a-f]{100}$/.test(akName)
  check(valid, 'ERR_CHIP_STATE_INVALID', invalid)
  return Buffer.from(akName, 'hex')
}

function checkCertificate(certificate: Uint8Array, root: Uint8Array): Uint8Array {
  const chip = new X509Certificate(certificate)
  const authority = new X509Certificate(root)
  const issued = chip.checkIssued(authority) && chip.verify(authority.publicKey)
  check(issued, 'ERR_CHIP_STATE_INVALID', 'the authority did not issue the chip certificate')
  return chip.publicKey.export({ format: 'der', type: 'spki' })
}

function instanceIdOf(spki: Uint8Array): string {
  return `i-${createHash('sha384').update(spki).digest('hex').slice(0, 17)}`
}

function chipName(instanceId: string): DistinguishedName {
  return { commonName: `${instanceId}.cloister`, organizationalUnit: ASSURANCE }
}

function chipDirectory(stateDir: string): string {
  return join(stateDir, 'chip')
}
