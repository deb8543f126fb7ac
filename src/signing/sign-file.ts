// Signs an image file in its place, or in two steps: what is to be signed goes out, the signature comes
// in. The file is replaced whole when everything is done and verified, or not touched.

import {
  exportToBeSigned,
  makeSigner,
  signCopyOfEif,
  type Eif,
  type EifSigner,
  type WrittenEif,
} from '../eif/index.ts'
import { openInputFile, writeOutputFile } from '../files/index.ts'

export interface SignFileOptions {
  /** An EIF, signed or not. */
  readonly path: string
  /** Where the signed image goes; by default it replaces the one at `path`. */
  readonly output?: string
}

/**
 * Signs an image; a signature that it has is replaced.
 * @throws ERR_EIF_*, ERR_FILE_OUTPUT, and whatever the signer's key throws
 */
export async function signFile(
  { path, output = path }: SignFileOptions,
  signer: EifSigner,
): Promise<WrittenEif> {
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const source = file.source()
  return await writeOutputFile(output, (sink) => signCopyOfEif(source, sink, signer))
}

/**
 * Writes the bytes that the holder of the certificate's key is to sign, with ECDSA and the hash of the
 * curve (SHA-256, SHA-384, SHA-512).
 * @returns What the image at `path` was found to be.
 * @throws ERR_EIF_*, ERR_FILE_OUTPUT
 */
export async function exportFile(
  path: string,
  certificatePem: Uint8Array,
  output: string,
): Promise<Eif> {
  const signer = makeSigner(certificatePem, withSignature(new Uint8Array()))
  await using file = await openInputFile(path, 'ERR_EIF_UNREADABLE')
  const { message, eif } = await exportToBeSigned(file.source(), signer)
  await writeOutputFile(output, (sink) => sink.write(0, message))
  return eif
}

/**
 * Signs an image with a signature that was made elsewhere over what {@link exportFile} wrote.
 * @param signature - `r || s`, or DER.
 * @throws ERR_EIF_SIGNING when the signature is not the certificate's over this image
 */
export async function importSignature(
  options: SignFileOptions,
  certificatePem: Uint8Array,
  signature: Uint8Array,
): Promise<WrittenEif> {
  return signFile(options, makeSigner(certificatePem, withSignature(signature)))
}

/** A key that has signed already. */
function withSignature(signature: Uint8Array): Parameters<typeof makeSigner>[1] {
  return { sign: () => Promise.resolve(signature) }
}
