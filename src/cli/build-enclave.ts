// cloister build-enclave: nitro-cli's command, without Docker.

import { Command, Option } from 'commander'
import { fileURLToPath } from 'node:url'

import { CloisterError, check } from '../errors.ts'
import { parseSigner, type EifSigner } from '../eif/index.ts'
import {
  buildImage,
  openPlatformBlobs,
  type BuildOptions,
  type ImageConfig,
  type ImageSource,
} from '../image/index.ts'
import { readFileArgument } from './arguments.ts'
import { defined } from './defined.ts'
import { measurementsJson } from './measurements-json.ts'
import { printJson, printProgress } from './print.ts'

interface Flags {
  readonly dockerUri?: string
  readonly rootfs?: string
  readonly outputFile: string
  readonly name?: string
  /** commander keeps `version` for itself on the root command only. */
  readonly version?: string
  readonly metadata?: string
  readonly blobs?: string
  readonly kernel?: string
  readonly init?: string
  readonly cmdline?: string
  readonly entrypoint?: string[]
  readonly cmd?: string[]
  readonly env?: string[]
  readonly workdir?: string
  readonly user?: string
  readonly signingCertificate?: string
  readonly privateKey?: string
}

const MAX_CUSTOM_METADATA_BYTES = 4096

const EXAMPLE = `
Examples:
  cloister build-enclave --docker-uri oci:./layout:hello --output-file hello.eif
  cloister build --rootfs ./rootfs --entrypoint /hello --output-file hello.eif

An image of a registry or a Docker daemon is first copied to an OCI layout:
  skopeo copy docker://docker.io/library/busybox:latest oci:./layout:busybox

The image is the same to the byte wherever and whenever it is built; SOURCE_DATE_EPOCH sets the
build time in its metadata.`

export function buildEnclaveCommand(): Command {
  return new Command('build-enclave')
    .alias('build')
    .description('build an enclave image from an OCI image or a root file system')
    .option('--docker-uri <image>', 'oci:DIR[:TAG] or oci-archive:FILE[:TAG]')
    .option('--rootfs <dir>', 'a directory with the root file system, instead of an OCI image')
    .requiredOption('--output-file <file>', 'the enclave image to write')
    .option('--name <name>', 'name in the metadata')
    .option('--version <version>', 'version in the metadata')
    .option('--metadata <file>', 'JSON to add to the metadata, at most 4096 bytes')
    .option('--entrypoint <words...>', 'program and arguments; drops the cmd of the OCI image')
    .option('--cmd <words...>', 'further arguments (--cmd=-l for one that begins with a dash)')
    .option('--env <variables...>', 'KEY=value, added to those of the OCI image')
    .option('--workdir <dir>', 'working directory')
    .option('--user <user[:group]>', 'names of the image, or numbers')
    .addOption(
      new Option('--blobs <dir>', 'directory of bzImage, kernel.config, init and cmdline')
        .env('CLOISTER_BLOBS')
        .default(defaultBlobs(), 'build/blobs of the repository'),
    )
    .option('--signing-certificate <pem>', 'certificate of the signer, measured into PCR8')
    .option('--private-key <pem>', 'its key: P-256, P-384 or P-521')
    .option('--kernel <file>', 'another bzImage')
    .option('--init <file>', 'another agent')
    .option('--cmdline <text>', 'another kernel command line')
    .addHelpText('after', EXAMPLE)
    .action(run)
}

async function run(flags: Flags): Promise<void> {
  printProgress('Start building the Enclave Image...')
  const { measurements } = await buildImage(await buildOptions(flags))
  printProgress('Enclave Image successfully created.')
  printJson({ Measurements: measurementsJson(measurements) })
}

async function buildOptions(flags: Flags): Promise<BuildOptions> {
  const { kernel, init, cmdline, name, version } = flags
  const overrides = defined({ kernel, init, cmdline })
  return {
    source: sourceOf(flags),
    blobs: await openPlatformBlobs(flags.blobs ?? defaultBlobs(), overrides),
    config: configOf(flags),
    output: flags.outputFile,
    ...defined({ name, version }),
    ...(flags.metadata !== undefined && { customMetadata: readMetadata(flags.metadata) }),
    buildTime: readBuildTime(process.env['SOURCE_DATE_EPOCH']),
    ...defined({ signer: readSigner(flags) }),
  }
}

function sourceOf({ dockerUri, rootfs }: Flags): ImageSource {
  if (dockerUri !== undefined && rootfs === undefined) return { kind: 'oci', reference: dockerUri }
  if (rootfs !== undefined && dockerUri === undefined) return { kind: 'directory', path: rootfs }
  throw new CloisterError('ERR_CLI_ARGUMENT', 'give exactly one of --docker-uri and --rootfs')
}

function configOf({ entrypoint, cmd, env, workdir, user }: Flags): Partial<ImageConfig> {
  return defined({ entrypoint, cmd, env, workdir, user })
}

function readSigner(flags: Flags): EifSigner | undefined {
  const { signingCertificate, privateKey } = flags
  if (signingCertificate === undefined && privateKey === undefined) return undefined
  const isPair = signingCertificate !== undefined && privateKey !== undefined
  check(isPair, 'ERR_CLI_ARGUMENT', '--signing-certificate and --private-key go together')
  const isKms = /^arn:(aws|aws-cn|aws-us-gov):kms:/.test(privateKey)
  check(!isKms, 'ERR_CLI_ARGUMENT', '--private-key: keys in AWS KMS are not supported')
  return parseSigner(
    readFileArgument('--signing-certificate', signingCertificate),
    readFileArgument('--private-key', privateKey),
  )
}

function readMetadata(path: string): unknown {
  const bytes = readFileArgument('--metadata', path, MAX_CUSTOM_METADATA_BYTES)
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw new CloisterError('ERR_EIF_METADATA', `${path} is not JSON`, { cause })
  }
}

/** Seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/ */
function readBuildTime(epoch: string | undefined): number {
  const text = epoch === undefined || epoch === '' ? '0' : epoch
  check(/^\d{1,11}$/.test(text), 'ERR_CLI_ARGUMENT', 'SOURCE_DATE_EPOCH is not a number of seconds')
  return Number(text)
}

function defaultBlobs(): string {
  return fileURLToPath(new URL('../../build/blobs', import.meta.url))
}
