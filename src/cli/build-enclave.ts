// cloister build-enclave: nitro-cli's command, without Docker.

import {
  ARCHITECTURES,
  buildOptions,
  defaultBlobs,
  readInputs,
  useArtifactsDirectory,
  type BuildInputs,
  type BuildFlags,
  defined,
} from '../library/index.ts'
import { Command, Option } from 'commander'

import type { Measurements } from '../eif/index.ts'
import { check } from '../errors.ts'
import {
  KERNEL_FLAVOURS,
  ROOT_KINDS,
  TIMES_RULES,
  buildImage,
  measureBuild,
} from '../image/index.ts'
import { BuildProgress } from './build-progress.ts'
import { measurementsJson } from './measurements-json.ts'
import { printJson } from './print.ts'
import { provenanceKey, provenanceOf, writeStatement } from './provenance.ts'
import { addSigningOptions, openSignerOf, readCertificate } from './signing-options.ts'

const EXAMPLE = `
Examples:
  cloister build-enclave --docker-uri oci:./layout:hello --output-file hello.eif
  cloister build --rootfs ./rootfs --entrypoint /hello --output-file hello.eif
  cloister build --rootfs ./rootfs --entrypoint /hello --dry-run
  cloister build --manifest cloister.yaml --output-file hello.eif
  cloister build --rootfs ./rootfs --entrypoint /hello --output-file hello.eif --provenance hello.json

Images:
  NAME:TAG, docker://NAME:TAG    from a registry, with skopeo and your credentials
  docker-daemon:NAME:TAG         from the local Docker daemon, with skopeo
  oci:DIR[:REF]                  an OCI layout; REF is everything after the first colon
  oci-archive:FILE[:REF]         an OCI layout in a tar file, also gzipped
  docker-archive:FILE[:NAME:TAG] the output of docker save or podman save, also gzipped
  dir:ROOTFS                     a root file system, as --rootfs

Builds are reproducible: the same input gives the same bytes on every machine. SOURCE_DATE_EPOCH sets
the build time in the metadata. In a root file system, the owner of the top directory becomes root.`

export function buildEnclaveCommand(): Command {
  const command = addLabels(new Command('build-enclave'))
    .option(
      '--docker-uri <image>',
      'the container image; with --docker-dir, the name of the image built from it',
    )
    .option('--docker-dir <dir>', 'a directory with a Dockerfile, built with buildah')
    .option('--rootfs <dir>', 'a directory with the root file system, instead of an image')
    .option('--output-file <file>', 'the enclave image to write')
    .option(
      '--dry-run',
      'print the measurements and write no file; PCR8 needs --signing-certificate only',
    )
    .addOption(
      new Option('--arch <arch>', 'architecture of the image and the kernel')
        .choices(Object.keys(ARCHITECTURES))
        .default('x86_64'),
    )
    .option('--owner <uid:gid>', 'owner of every file in --rootfs')
    .addOption(
      new Option(
        '--modes <rule>',
        'permissions in --rootfs: keep them all, or only what git records',
      )
        .choices(['keep', 'git'])
        .default('keep'),
    )
    .addOption(
      new Option(
        '--times <rule>',
        'modification times of files: 1970 for all (zero), so that they do not change the measurements, or as in the image or --rootfs (keep)',
      )
        .choices(TIMES_RULES)
        .default('zero'),
    )
    .option('--metadata <file>', 'JSON to add to the metadata, at most 4096 bytes')
    .option(
      '--entrypoint <words...>',
      'program and arguments; replaces entrypoint and cmd of the image',
    )
    .option('--cmd <words...>', 'further arguments (--cmd=-l for one that begins with a dash)')
    .option('--env <variables...>', 'variables KEY=value, added to those of the image')
    .option('--workdir <dir>', 'working directory')
    .option('--user <user[:group]>', 'names from the image, or numbers')
  addPlatformOptions(command)
    .option(
      '--provenance <file>',
      'write a statement of what the image was built from, for `cloister reproduce`',
    )
    .option('--provenance-key <pem>', 'private key that signs the statement (EC or Ed25519)')
    .option('--quiet', 'print no progress')
  return addSigningOptions(command).addHelpText('after', EXAMPLE).action(run)
}

/** What every image has in common, and how it carries its root file system. */
function addPlatformOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--blobs <dir>', 'directory of the kernel, kernel.config, init and cmdline')
        .env('CLOISTER_BLOBS')
        .default(defaultBlobs(), 'NITRO_CLI_BLOBS, else build/blobs of the repository'),
    )
    .addOption(
      new Option(
        '--kernel-flavour <flavour>',
        'standard: the features of the AWS Nitro kernel; minimal: smaller and faster to boot ' +
          '(default: standard)',
      ).choices(KERNEL_FLAVOURS),
    )
    .addOption(
      new Option('--kernel <file>', 'another kernel: bzImage, or Image for aarch64').conflicts(
        'kernelFlavour',
      ),
    )
    .addOption(
      new Option(
        '--root <kind>',
        'squashfs: the root file system stays compressed in memory; cpio: it is unpacked, as ' +
          "AWS's own init needs it (default: squashfs where kernel, agent and command line are Cloister's)",
      ).choices(ROOT_KINDS),
    )
    .option('--init <file>', 'another agent')
    .option('--cmdline <text>', 'another kernel command line')
}

/** What the application says of itself. */
function addLabels(command: Command): Command {
  return command
    .option(
      '--manifest <file>',
      'manifest of the application (default: cloister.yaml in --docker-dir, if it exists)',
    )
    .option('--no-manifest', 'ignore the manifest in --docker-dir')
    .option('--name <name>', 'name in the metadata')
    .option('--version <version>', 'version in the metadata')
}

async function run(flags: BuildFlags): Promise<void> {
  useArtifactsDirectory(process.env)
  const progress = new BuildProgress(flags.quiet === true)
  progress.say('Start building the Enclave Image...')
  const inputs = await readInputs(flags)
  if (inputs.manifest !== undefined) progress.say(`Using the manifest ${inputs.manifest.path}`)
  const carryOut = flags.dryRun === true ? measure : build
  const measurements = await carryOut(inputs, progress)
  printJson({ Measurements: measurementsJson(measurements) })
}

async function build(inputs: BuildInputs, { report, say }: BuildProgress): Promise<Measurements> {
  const { outputFile: output, provenance } = inputs.flags
  check(output !== undefined, 'ERR_CLI_ARGUMENT', '--output-file is missing', {
    hint: 'Give --output-file, or --dry-run for the measurements alone.',
  })
  const key = provenanceKey(inputs.flags)
  await using signer = await openSignerOf(inputs.flags)
  const options = { ...(await buildOptions(inputs)), ...defined({ signer }), output, report }
  const image = await buildImage(options)
  if (provenance !== undefined) {
    await writeStatement(provenance, await provenanceOf(inputs, options, image), key)
    say(`Provenance written to ${provenance}.`)
  }
  say('Enclave Image successfully created.')
  return image.measurements
}

async function measure(inputs: BuildInputs, { report }: BuildProgress): Promise<Measurements> {
  const { signingCertificate: path, provenance } = inputs.flags
  check(
    provenance === undefined,
    'ERR_CLI_ARGUMENT',
    '--provenance names a file, and --dry-run writes none',
  )
  const certificate = path === undefined ? undefined : readCertificate(path)
  return measureBuild({ ...(await buildOptions(inputs)), report }, certificate)
}
