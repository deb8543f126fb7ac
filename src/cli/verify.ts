// cloister verify: checks an attestation document as @cloister/attestation does. Flags become its options;
// what it refuses is its own error.

import { defined } from '../library/index.ts'
import {
  AttestationError,
  awsNitroRootG1,
  verifyAttestation,
  type Attestation,
  type Measurements,
  type VerifierOptions,
} from '@cloister/attestation'
import { Command, Option } from 'commander'
import { CloisterError } from '../errors.ts'
import { readFileArgument, wholeNumber } from './arguments.ts'
import { DOCUMENT_FORMATS, readDocument, type DocumentFormat } from './document-file.ts'
import { hex } from './measurements-json.ts'
import { pcrOption, withPins, type PcrPins } from './pcr-pins.ts'
import { printJson } from './print.ts'
import { ofFile, readRoots } from './read-roots.ts'

interface VerifyFlags {
  readonly document: string
  readonly format: DocumentFormat
  readonly root: readonly string[]
  readonly awsRoot?: boolean
  readonly nonce?: string
  readonly userData?: string
  readonly publicKey?: string
  readonly measurements?: string
  readonly pcr?: PcrPins
  readonly moduleId?: string
  readonly at: string
  readonly maxAge?: number
  readonly allowDebug?: boolean
  readonly assurance?: 'hardware-tpm'
  readonly tpmEvidence: 'require' | 'verify-if-present'
}

/** In place of bytes: the document must not have the field. */
const ABSENT = 'absent'
/** What the NSM accepts as public_key. */
const MAX_PUBLIC_KEY_BYTES = 1024

/** RFC 3339 section 5.6, date-time. */
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

const EXAMPLES = `
Examples:
  cloister verify --document doc.cbor --root /var/lib/cloister/authority/root.pem \\
    --nonce 00112233 --measurements measurements.json
  cloister verify --document doc.cbor --root root.pem --measurements measurements.json \\
    --pcr 16=$(cloister pcr --config-data settings.json | jq -r .PCR16)
  cloister verify --document aws.cbor --aws-root --at document
  cloister verify --document aws.cbor.b64 --format base64 --aws-root --at document`

/** `cloister verify`; `--max-age` in seconds. Its action throws AttestationError, and `ERR_CLI_ARGUMENT` of the flags. */
export function verifyCommand(): Command {
  return new Command('verify')
    .requiredOption(
      '--document <file>',
      "the document: CBOR, base64, hexadecimal or PEM; '-' reads standard input",
    )
    .addOption(
      new Option('--format <format>', 'encoding of the document')
        .choices(DOCUMENT_FORMATS)
        .default('auto'),
    )
    .option(
      '--root <file...>',
      'root certificates to trust, PEM (also bundles) or DER',
      [] as string[],
    )
    .option('--aws-root', "trust AWS's Nitro Enclaves root G1")
    .option('--nonce <hex>', "the nonce it must carry; '' for an empty one, 'absent' for none")
    .option('--user-data <hex>', "the user_data it must carry; '' and 'absent' as for --nonce")
    .option('--public-key <file>', "a file with the public_key it must carry, or 'absent'")
    .option('--measurements <file>', "output of build-enclave that the document's PCRs must match")
    .addOption(pcrOption())
    .option('--module-id <id>', 'the module id it must have')
    .option(
      '--at <when>',
      "when to verify: 'now', an RFC 3339 time, or 'document' (its own time, for archives)",
      'now',
    )
    .option('--max-age <seconds>', 'the maximum age of the document', wholeNumber(0, 10 ** 9))
    .option('--allow-debug', 'accept documents of debug enclaves')
    .addOption(
      new Option('--assurance <kind>', 'required protection of the signing key').choices([
        'hardware-tpm',
      ]),
    )
    .addOption(
      new Option('--tpm-evidence <rule>', 'whether the document must carry TPM evidence')
        .choices(['require', 'verify-if-present'])
        .default('verify-if-present'),
    )
    .addHelpText('after', EXAMPLES)
    .action(verify)
}

async function verify(flags: VerifyFlags): Promise<void> {
  if (flags.at === 'document' && flags.maxAge !== undefined)
    throw new CloisterError('ERR_CLI_ARGUMENT', '--max-age cannot be used with --at document', {
      hint: 'Give --at a time to measure the age from, or leave --max-age out.',
    })
  const document = readDocument(flags.document, flags.format)
  try {
    printJson(attestationJson(await verifyAttestation(document, verifyOptions(flags))))
  } catch (error) {
    const isOfFile = error instanceof AttestationError && error.code === 'ERR_MEASUREMENTS_FORMAT'
    throw isOfFile ? ofFile(`--measurements: ${flags.measurements ?? '--pcr'}`, error) : error
  }
}

function verifyOptions(flags: VerifyFlags): VerifierOptions {
  return {
    roots: trustedRoots(flags),
    at: verificationTime(flags.at),
    tpmEvidence: flags.tpmEvidence,
    ...defined({
      nonce: flags.nonce === undefined ? undefined : hexBytes('--nonce', flags.nonce),
      userData: flags.userData === undefined ? undefined : hexBytes('--user-data', flags.userData),
      publicKey: flags.publicKey === undefined ? undefined : publicKeyBytes(flags.publicKey),
      measurements: withPins(
        flags.measurements === undefined ? undefined : readMeasurements(flags.measurements),
        flags.pcr,
      ),
      moduleId: flags.moduleId,
      maxAgeMs: flags.maxAge === undefined ? undefined : flags.maxAge * 1000,
      allowDebug: flags.allowDebug,
      assurance: flags.assurance,
    }),
  }
}

function trustedRoots(flags: VerifyFlags): VerifierOptions['roots'] {
  const files = flags.root.flatMap(readRoots)
  const [first, ...others] = flags.awsRoot === true ? [awsNitroRootG1, ...files] : files
  if (first !== undefined) return [first, ...others]
  throw new CloisterError('ERR_CLI_ARGUMENT', 'no root to trust: give --root or --aws-root', {
    hint: "No root is trusted by default. Cloister's own is authority/root.pem in the state directory of the enclave's host: /var/lib/cloister for root, ~/.local/state/cloister for others.",
  })
}

function verificationTime(text: string): Date | 'now' | 'document' {
  if (text === 'now' || text === 'document') return text
  const time = new Date(text)
  if (RFC_3339.test(text) && !Number.isNaN(time.getTime())) return time
  throw new CloisterError('ERR_CLI_ARGUMENT', `--at ${text} is not an RFC 3339 time`)
}

function hexBytes(flag: string, text: string): Uint8Array | 'absent' {
  if (text === ABSENT) return text
  if (/^([0-9a-fA-F]{2})*$/.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'))
  throw new CloisterError('ERR_CLI_ARGUMENT', `${flag} is neither hexadecimal nor '${ABSENT}'`)
}

function publicKeyBytes(path: string): Uint8Array | 'absent' {
  if (path === ABSENT) return path
  return readFileArgument('--public-key', path, MAX_PUBLIC_KEY_BYTES)
}

/** `{"Measurements": {...}}`, as build-enclave prints it, or the inner object: the verifier checks. */
function readMeasurements(path: string): Measurements {
  const text = new TextDecoder().decode(readFileArgument('--measurements', path))
  try {
    return JSON.parse(text) as Measurements
  } catch (cause) {
    throw new CloisterError('ERR_CLI_ARGUMENT', `--measurements: ${path} is not JSON`, {
      cause,
      hint: 'Give the file with what build-enclave printed.',
    })
  }
}

function attestationJson(attestation: Attestation): Readonly<Record<string, unknown>> {
  const { moduleId, timestampMs, assurance, debug, pcrs, tpm } = attestation
  return {
    Verified: true,
    ModuleID: moduleId,
    Timestamp: new Date(timestampMs).toISOString(),
    Assurance: assurance,
    Debug: debug,
    TpmEvidence: tpm !== null,
    Measurements: {
      HashAlgorithm: 'Sha384 { ... }',
      ...Object.fromEntries(Object.entries(pcrs).map(([pcr, value]) => [`PCR${pcr}`, value])),
    },
    Nonce: hexOrNull(attestation.nonce),
    UserData: hexOrNull(attestation.userData),
    PublicKey: hexOrNull(attestation.publicKey),
  }
}

function hexOrNull(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : hex(bytes)
}
