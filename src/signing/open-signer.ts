// From the name of a key to the key: the form of the name, or of the file that it names, says where the
// key lies.

import { makeSigner, type EifSigner } from '../eif/index.ts'
import { namingFile, readInputFile } from '../files/index.ts'
import { isPkcs11Uri } from '../pkcs11/index.ts'
import type { KeyOptions, OpenKey } from './key-options.ts'
import { isArn, openKmsKey } from './kms-key.ts'
import { openPkcs11Key } from './pkcs11-key.ts'
import { isPkcs12, openPkcs12 } from './pkcs12.ts'
import { openPemKey } from './pem-key.ts'
import { isTpmHandle, isTpmKeyFile, openTpmHandle, openTpmKeyFile } from './tpm-key.ts'

/** A signer whose key is open; disposing of it closes the key. */
export interface OpenSigner extends EifSigner, AsyncDisposable {}

/** Far above any key file. */
const MAX_KEY_BYTES = 1024 * 1024

/**
 * Makes a signer of a certificate and the name of its key: the path of a PEM file (SEC1 or PKCS#8, also
 * encrypted) or of a PKCS#12 file, the ARN of a key in AWS KMS, a PKCS#11 URI, a TPM's
 * persistent handle, or the path of a TPM key file.
 * @param certificatePem - A PEM file; its first certificate is the signer's.
 * @throws ERR_EIF_CERTIFICATE, ERR_EIF_SIGNING, ERR_SIGNING_KEY
 */
export async function openSigner(
  certificatePem: Uint8Array,
  name: string,
  options: KeyOptions = {},
): Promise<OpenSigner> {
  const key = await openKey(name, options)
  const dispose = async (): Promise<void> => key[Symbol.asyncDispose]?.()
  try {
    return { ...makeSigner(certificatePem, key), [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

async function openKey(name: string, options: KeyOptions): Promise<OpenKey> {
  if (isArn(name)) return await openKmsKey(name, options)
  if (isPkcs11Uri(name)) return await openPkcs11Key(name, options)
  if (isTpmHandle(name)) return await openTpmHandle(name, options)
  const file = readInputFile(name, { code: 'ERR_SIGNING_KEY', maxBytes: MAX_KEY_BYTES })
  try {
    if (isTpmKeyFile(file)) return await openTpmKeyFile(file, options)
    if (isPkcs12(file)) return openPkcs12(file, options)
    return openPemKey(file, options)
  } catch (error) {
    throw namingFile(name, error)
  }
}
