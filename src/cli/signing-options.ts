// The flags of the commands that sign: a certificate, its key wherever it lies, and what opens the key.

import { defined, type SigningFlags } from '../library/index.ts'
import { Option, type Command } from 'commander'

import { check } from '../errors.ts'
import { openSigner, type KeyOptions, type OpenSigner } from '../signing/index.ts'
import { readFileArgument } from './arguments.ts'

const PASSWORD_VARIABLE = 'CLOISTER_PRIVATE_KEY_PASSWORD'
const MAX_PASSWORD_BYTES = 4096

/** Adds the options of {@link SigningFlags} to a command and returns that command. */
export function addSigningOptions(command: Command): Command {
  return command
    .option('--signing-certificate <pem>', 'certificate of the signer, measured into PCR8')
    .option(
      '--private-key <key>',
      'private key of the signer, on P-256, P-384 or P-521 (see docs/signing.md)',
    )
    .addOption(
      new Option(
        '--private-key-password-file <file>',
        `password or PIN of the key (default: $${PASSWORD_VARIABLE})`,
      ),
    )
    .addOption(
      new Option(
        '--tpm <path>',
        'device or Unix socket of the TPM that holds the key (default: /dev/tpmrm0)',
      ).env('CLOISTER_TPM'),
    )
    .option(
      '--kms-endpoint <url>',
      "endpoint for a key in KMS (default: $AWS_ENDPOINT_URL_KMS, else AWS's)",
    )
}

/**
 * The signer that the flags name; undefined when they name none.
 * @throws ERR_CLI_ARGUMENT, ERR_EIF_CERTIFICATE, ERR_EIF_SIGNING, ERR_SIGNING_KEY
 */
export async function openSignerOf(flags: SigningFlags): Promise<OpenSigner | undefined> {
  const { signingCertificate, privateKey } = flags
  if (signingCertificate === undefined && privateKey === undefined) return undefined
  const isPair = signingCertificate !== undefined && privateKey !== undefined
  check(isPair, 'ERR_CLI_ARGUMENT', '--signing-certificate and --private-key go together')
  return openSigner(readCertificate(signingCertificate), privateKey, keyOptions(flags))
}

/**
 * The contents of the file that `--signing-certificate` names, at most 1 MiB; `-` is standard
 * input.
 *
 * @throws `ERR_FILE_INPUT`
 */
export function readCertificate(path: string): Uint8Array {
  return readFileArgument('--signing-certificate', path)
}

function keyOptions({ privateKeyPasswordFile: path, kmsEndpoint, tpm }: SigningFlags): KeyOptions {
  const password = path === undefined ? process.env[PASSWORD_VARIABLE] : readPassword(path)
  return defined({ password, kmsEndpoint, tpm })
}

/** The file's text without the line break at its end. */
function readPassword(path: string): string {
  const bytes = readFileArgument('--private-key-password-file', path, MAX_PASSWORD_BYTES)
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}
