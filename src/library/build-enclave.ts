// Builds an enclave image: what `cloister build-enclave` does, with options instead of flags.

import type { MeasurementTexts } from '../enclaves/index.ts'
import {
  buildImage,
  KERNEL_FLAVOURS,
  ROOT_KINDS,
  TIMES_RULES,
  type KernelFlavour,
  type Progress,
  type RootKind,
  type TimesRule,
} from '../image/index.ts'
import { openSigner } from '../signing/index.ts'
import { readInputFile } from '../files/index.ts'
import type { BuildFlags } from './build-flags.ts'
import { buildOptions, readInputs } from './build-options.ts'
import { checkOptions, type OptionKinds } from './check-options.ts'
import { defined } from './defined.ts'

export interface BuildEnclaveOptions {
  /** Path of the image to write; a file that is there is replaced at the end. */
  readonly output: string
  /** A directory with the root file system; or */
  readonly rootfs?: string
  /** a container image, such as `docker://busybox:latest` or `oci:./layout`; or */
  readonly image?: string
  /** a directory with a Dockerfile; or what the manifest names. */
  readonly dockerDir?: string
  /** Path of a `cloister.yaml`; by default the one in `dockerDir`; `false`: none. */
  readonly manifest?: string | false
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `KEY=value` each. */
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly user?: string
  readonly name?: string
  readonly version?: string
  /** Path of a JSON file to add to the metadata. */
  readonly metadata?: string
  readonly architecture?: 'x86_64' | 'aarch64'
  readonly kernelFlavour?: KernelFlavour
  readonly root?: RootKind
  /** Modification times of files: 1970 for all (`zero`, the default), or as in the image or directory (`keep`). */
  readonly times?: TimesRule
  /** Directory of kernel and agent; by default those of this installation. */
  readonly blobs?: string
  /** Signs the image, which gives it a PCR8. */
  readonly sign?: SignOptions
  /** Gives the build up at its next step; its reason is thrown, and no file is left. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface SignOptions {
  /** Path of a PEM file. */
  readonly certificate: string
  /** Where the key lies: a path, an ARN, a PKCS#11 URI or a TPM's handle (docs/signing.md). */
  readonly privateKey: string
  /** Of the key, or the PIN of its token. */
  readonly password?: string
}

/** An image as it was written. */
export interface BuiltEnclave {
  readonly path: string
  readonly sizeBytes: number
  /** PCR0, PCR1, PCR2 and, of a signed image, PCR8, in hexadecimal. */
  readonly measurements: MeasurementTexts
}

const BUILD_OPTIONS: OptionKinds<Required<BuildEnclaveOptions>> = {
  output: 'a string, required',
  rootfs: 'a string',
  image: 'a string',
  dockerDir: 'a string',
  manifest: 'a string or false',
  entrypoint: 'an array of strings',
  cmd: 'an array of strings',
  env: 'an array of strings',
  workdir: 'a string',
  user: 'a string',
  name: 'a string',
  version: 'a string',
  metadata: 'a string',
  architecture: ['x86_64', 'aarch64'],
  kernelFlavour: KERNEL_FLAVOURS,
  root: ROOT_KINDS,
  times: TIMES_RULES,
  blobs: 'a string',
  sign: 'an object',
  signal: 'an AbortSignal',
  onProgress: 'a function',
}
const SIGN_OPTIONS: OptionKinds<Required<SignOptions>> = {
  certificate: 'a string, required',
  privateKey: 'a string, required',
  password: 'a string',
}

const MAX_CERTIFICATE_BYTES = 1024 * 1024

/**
 * Builds an image; the same input gives the same bytes on every machine.
 *
 * @throws CloisterError with `ERR_IMAGE_*`, `ERR_EIF_*`, `ERR_MANIFEST_*`, `ERR_SIGNING_KEY`,
 * `ERR_FILE_*`, `ERR_CLI_ARGUMENT` for options that exclude each other; the reason of the signal; TypeError for
 * an option that does not exist or has another type.
 */
export async function buildEnclave(options: BuildEnclaveOptions): Promise<BuiltEnclave> {
  checkOptions('buildEnclave', options, BUILD_OPTIONS)
  const { output, signal, onProgress, sign } = options
  if (sign !== undefined) checkOptions('buildEnclave: sign', sign, SIGN_OPTIONS)
  signal?.throwIfAborted()
  const inputs = await readInputs(flagsOf(options))
  const report = (progress: Progress): void => {
    signal?.throwIfAborted()
    onProgress?.(progress)
  }
  await using signer = sign && (await signerOf(sign))
  const all = { ...(await buildOptions(inputs)), ...defined({ signer }), output, report }
  const { size, measurements } = await buildImage(all)
  const { pcr0, pcr1, pcr2, pcr8 } = measurements
  return {
    path: output,
    sizeBytes: size,
    measurements: {
      ...{ PCR0: hex(pcr0.pcr), PCR1: hex(pcr1.pcr), PCR2: hex(pcr2.pcr) },
      ...(pcr8 !== undefined && { PCR8: hex(pcr8.pcr) }),
    },
  }
}

function flagsOf(options: BuildEnclaveOptions): BuildFlags {
  const { rootfs, image, dockerDir, manifest, architecture = 'x86_64', blobs } = options
  const { name, version, metadata, kernelFlavour, root, times, workdir, user } = options
  const [entrypoint, cmd, env] = [options.entrypoint, options.cmd, options.env].map(
    (words) => words && [...words],
  )
  return {
    ...{ arch: architecture, modes: 'keep' },
    ...defined({ rootfs, dockerUri: image, dockerDir, manifest, blobs, name, version, metadata }),
    ...defined({ kernelFlavour, root, times, workdir, user, entrypoint, cmd, env }),
  }
}

function signerOf({
  certificate,
  privateKey,
  password,
}: SignOptions): ReturnType<typeof openSigner> {
  const options = { code: 'ERR_FILE_INPUT', maxBytes: MAX_CERTIFICATE_BYTES } as const
  return openSigner(readInputFile(certificate, options), privateKey, defined({ password }))
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
