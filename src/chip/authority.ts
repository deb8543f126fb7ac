// The development authority: a root CA for one machine, made on first use. It is trusted
// only where it is named: the verifier takes roots as an argument. For a fleet the authority is elsewhere.

import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { check, CloisterError } from '../errors.ts'
import type { DistinguishedName } from './certificate.ts'
import { loadIssuing } from './issuing.ts'
import { makeDirectoryOnce } from './staged-directory.ts'
import type { P384Signer } from './tpm-crypto.ts'

/** An authority with its private key at hand. */
export interface Authority {
  readonly subject: DistinguishedName
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly signer: P384Signer
}

const ROOT_YEARS = 20
/** Clocks of two machines differ a little. */
export const EARLY_MS = 60_000
const P384 = { name: 'ECDSA', namedCurve: 'P-384' } as const

/** Opens `<stateDir>/authority`, making it on first use: key.pem (PKCS#8, 0600) and root.pem. */
export async function openAuthority(stateDir: string): Promise<Authority> {
  const directory = authorityDirectory(stateDir)
  await makeDirectoryOnce(directory, makeAuthority)
  const key = createPrivateKey(await readStateFile(join(directory, 'key.pem')))
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const root = new X509Certificate(await readRootDer(stateDir))
  check(root.checkPrivateKey(key), 'ERR_CHIP_STATE_INVALID', 'key.pem is not the key of root.pem')
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' })
  return { subject: authorityName(spki), spki, signer: await importSigner(pkcs8) }
}

/**
 * The DER root certificate in `<stateDir>/authority/root.pem`.
 * @throws ERR_CHIP_STATE_MISSING, ERR_CHIP_STATE_INVALID
 */
export async function readRootDer(stateDir: string): Promise<Uint8Array> {
  return readCertificate(join(authorityDirectory(stateDir), 'root.pem'))
}

/** @throws ERR_CHIP_STATE_MISSING, ERR_CHIP_STATE_INVALID */
export async function readCertificate(path: string): Promise<Uint8Array> {
  const pem = await readStateFile(path)
  try {
    return new X509Certificate(pem).raw
  } catch (cause) {
    throw new CloisterError('ERR_CHIP_STATE_INVALID', `${path} is not a certificate`, { cause })
  }
}

/** @throws ERR_CHIP_STATE_MISSING */
export async function readStateFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new CloisterError('ERR_CHIP_STATE_MISSING', `${path} cannot be read`, {
      cause,
      details: { path },
    })
  }
}

/** A DER certificate as PEM (RFC 7468). */
export function pemOf(certificate: Uint8Array): string {
  return new X509Certificate(certificate).toString()
}

/** `at` with whole seconds, moved by whole years. */
export function yearsAfter(at: Date, years: number): Date {
  const moved = new Date(at)
  moved.setUTCFullYear(at.getUTCFullYear() + years)
  return moved
}

async function makeAuthority(directory: string): Promise<void> {
  const { createTpmSubtle, issueCertificate } = await loadIssuing()
  const subtle = createTpmSubtle()
  const keys = await subtle.generateKey(P384, true, ['sign', 'verify'])
  const spki = new Uint8Array(await subtle.exportKey('spki', keys.publicKey))
  const pkcs8 = Buffer.from(await subtle.exportKey('pkcs8', keys.privateKey))
  const notBefore = new Date(Date.now() - EARLY_MS)
  const name = authorityName(spki)
  const root = await issueCertificate(
    {
      ...{ role: 'authority', subject: name, subjectSpki: spki, issuer: name, issuerSpki: spki },
      ...{ notBefore, notAfter: yearsAfter(notBefore, ROOT_YEARS) },
    },
    { subtle, privateKey: keys.privateKey },
  )
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const keyPem = key.export({ format: 'pem', type: 'pkcs8' })
  await writeFile(join(directory, 'key.pem'), keyPem, { mode: 0o600 })
  await writeFile(join(directory, 'root.pem'), pemOf(root), { mode: 0o644 })
}

async function importSigner(pkcs8: Uint8Array): Promise<P384Signer> {
  const subtle = (await loadIssuing()).createTpmSubtle()
  return { subtle, privateKey: await subtle.importKey('pkcs8', pkcs8, P384, false, ['sign']) }
}

function authorityName(spki: Uint8Array): DistinguishedName {
  const tag = createHash('sha384').update(spki).digest('hex').slice(0, 8)
  const commonName = `Cloister development authority ${tag}`
  return { commonName, organizationalUnit: 'development' }
}

function authorityDirectory(stateDir: string): string {
  return join(stateDir, 'authority')
}
