// cloister sign-eif: nitro-cli's command, for keys that may lie anywhere.

import { defined, type SigningFlags } from '../library/index.ts'
import { Command } from 'commander'

import { check, CloisterError } from '../errors.ts'
import type { WrittenEif } from '../eif/index.ts'
import { exportFile, importSignature, signFile, type SignFileOptions } from '../signing/index.ts'
import { readFileArgument } from './arguments.ts'
import { measurementsJson } from './measurements-json.ts'
import { printJson, printProgress } from './print.ts'
import { addSigningOptions, openSignerOf, readCertificate } from './signing-options.ts'

interface Flags extends SigningFlags {
  readonly eifPath: string
  readonly outputFile?: string
  readonly exportToBeSigned?: string
  readonly importSignature?: string
}

const EXAMPLE = `
Examples:
  cloister sign-eif --eif-path hello.eif --signing-certificate signer.pem --private-key key.pem
  cloister sign-eif --eif-path hello.eif --signing-certificate signer.pem \\
    --export-to-be-signed hello.tbs
  cloister sign-eif --eif-path hello.eif --signing-certificate signer.pem \\
    --import-signature hello.sig

An existing signature is replaced. A key in a file signs deterministically (RFC 6979): the same image,
certificate and key give the same bytes. The last two examples sign in two steps, with a key that is kept
elsewhere. Between them, for a key on P-384:
  openssl dgst -sha384 -sign key.pem -out hello.sig hello.tbs`

/** The most a signature takes, as DER or as r || s. */
const MAX_SIGNATURE_BYTES = 256

export function signEifCommand(): Command {
  const command = new Command('sign-eif').requiredOption('--eif-path <file>', 'the enclave image')
  return addSigningOptions(command)
    .option('--output-file <file>', 'the signed image (default: replace the given image)')
    .option('--export-to-be-signed <file>', 'write the bytes to be signed, and change nothing')
    .option('--import-signature <file>', 'add a signature over those bytes, in DER or as r || s')
    .addHelpText('after', EXAMPLE)
    .action(run)
}

async function run(flags: Flags): Promise<void> {
  const { eifPath, exportToBeSigned } = flags
  const ways = [flags.privateKey, exportToBeSigned, flags.importSignature]
  const isOne = ways.filter((way) => way !== undefined).length === 1
  const expected = '--private-key, --export-to-be-signed and --import-signature'
  check(isOne, 'ERR_CLI_ARGUMENT', `give exactly one of ${expected}`)
  const { signingCertificate } = flags
  check(signingCertificate !== undefined, 'ERR_CLI_ARGUMENT', '--signing-certificate is missing')
  if (exportToBeSigned !== undefined) {
    const certificate = readCertificate(signingCertificate)
    const { measurements } = await exportFile(eifPath, certificate, exportToBeSigned)
    printJson({ Measurements: measurementsJson(measurements) })
    return
  }
  const { measurements } = await sign(flags, signingCertificate)
  printProgress('Enclave Image successfully signed.')
  printJson({ Measurements: measurementsJson(measurements) })
}

/** An error about the signature names its file, and says where such a file comes from. */
function aboutSignature(path: string, error: unknown): unknown {
  const isOfSignature = error instanceof CloisterError && 'signatureBytes' in error.details
  if (!isOfSignature) return error
  const { code, message, details, cause } = error
  return new CloisterError(code, `--import-signature: ${path}: ${message}`, {
    ...{ details, cause },
    hint: "Sign what --export-to-be-signed writes for this image with the certificate's key; docs/signing.md shows both steps.",
  })
}

async function sign(flags: Flags, certificatePath: string): Promise<WrittenEif> {
  const options: SignFileOptions = { path: flags.eifPath, ...defined({ output: flags.outputFile }) }
  if (flags.importSignature !== undefined) {
    const path = flags.importSignature
    const signature = readFileArgument('--import-signature', path, MAX_SIGNATURE_BYTES)
    const certificate = readCertificate(certificatePath)
    return importSignature(options, certificate, signature).catch((error: unknown) => {
      throw aboutSignature(path, error)
    })
  }
  await using signer = await openSignerOf(flags)
  check(signer !== undefined, 'ERR_CLI_ARGUMENT', '--private-key is missing')
  return await signFile(options, signer)
}
