// The broker's TLS: a certificate with its chain, and its key, from two PEM files that are read once.

import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { check, CloisterError, reasonOf } from '../../errors.ts'
import { readInputFile } from '../../files/index.ts'
import { checkPrivate } from '../private-file.ts'

/** Where certificate and key are. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
}

/** PEM. */
export interface TlsIdentity {
  readonly cert: Buffer
  readonly key: Buffer
}

const CODE = 'ERR_KMS_TLS'
const MAX_BYTES = 256 * 1024

/**
 * Reads a certificate that is valid now, and the key that belongs to it.
 * @throws ERR_KMS_TLS
 */
export function readTlsIdentity(files: TlsFiles, nowMs: number): TlsIdentity {
  const cert = readInputFile(files.certificate, { code: CODE, maxBytes: MAX_BYTES })
  const hint = `Run \`chmod 600 ${files.key}\` as its owner, who is the broker's user or root, and replace the key if others may have read it.`
  const key = readInputFile(files.key, {
    ...{ code: CODE, maxBytes: MAX_BYTES },
    inspect: (status) => checkPrivate(status, files.key, { code: CODE, hint }),
  })
  try {
    createSecureContext({ cert, key })
    checkDates(cert, files.certificate, nowMs)
  } catch (cause) {
    if (cause instanceof CloisterError) throw cause
    const message = `cannot use ${files.certificate} with ${files.key}: ${reasonOf(cause)}`
    throw new CloisterError(CODE, message, { cause })
  }
  return { cert, key }
}

function checkDates(pem: Buffer, path: string, nowMs: number): void {
  const { validFrom, validTo } = new X509Certificate(pem)
  const isValid = Date.parse(validFrom) <= nowMs && nowMs < Date.parse(validTo)
  check(isValid, CODE, `the certificate in ${path} is valid from ${validFrom} to ${validTo} only`)
}
