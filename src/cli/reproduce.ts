// cloister reproduce: builds an image again from a statement about its build, and compares.

import {
  buildOptions,
  useArtifactsDirectory,
  defined,
  type SigningFlags,
} from '../library/index.ts'
import { join } from 'node:path'

import { Command } from 'commander'

import { namingFile, temporaryDirectory } from '../files/index.ts'
import { buildImage, type BuildOptions, type BuiltImage } from '../image/index.ts'
import { MAX_STATEMENT_BYTES, readProvenance, type Resource } from '../provenance/index.ts'
import { readFileArgument } from './arguments.ts'
import { BuildProgress } from './build-progress.ts'
import { printJson } from './print.ts'
import { inputsOf, resourcesOf, subjectsOf } from './provenance.ts'
import { addSigningOptions, openSignerOf } from './signing-options.ts'

const EXAMPLE = `
Examples:
  cloister reproduce hello.json
  cloister reproduce hello.json --rootfs ./rootfs --key builder.pem

The statement is written by build-enclave --provenance. The build is repeated with the kernel and the agent
of this machine, and the results are compared: the file and the PCRs. Inputs that differ are listed, to
explain a difference. For a signed image, the file and PCR8 are compared only if the certificate and the key
are given (keys in files sign deterministically); otherwise PCR0, PCR1 and PCR2 are compared. Building a
Dockerfile runs its commands: check the statement's source before you repeat somebody else's build.

Exit status: 0 if everything compared is equal, 1 if something differs, another value on error.`

/** As diff(1). */
const STATUS_DIFFERENT = 1

interface Flags extends SigningFlags {
  readonly key?: string
  readonly rootfs?: string
  readonly dockerDir?: string
  readonly dockerUri?: string
  readonly blobs?: string
  readonly quiet?: boolean
}

export function reproduceCommand(): Command {
  const command = new Command('reproduce')
    .argument('<statement>', 'statement written by build-enclave --provenance')
    .option('--key <pem>', 'public key or certificate that the statement must be signed with')
    .option('--rootfs <dir>', 'the root file system on this machine')
    .option('--docker-dir <dir>', 'the directory of the Dockerfile on this machine')
    .option('--docker-uri <image>', 'the container image, as seen from this machine')
    .option('--blobs <dir>', 'directory of the kernel and the agent')
    .option('--quiet', 'print no progress')
  return addSigningOptions(command).addHelpText('after', EXAMPLE).action(reproduce)
}

/** An error about the statement names its file. */
function readStatement(
  path: string,
  ...given: Parameters<typeof readProvenance>
): ReturnType<typeof readProvenance> {
  try {
    return readProvenance(...given)
  } catch (error) {
    throw namingFile(path, error)
  }
}

async function reproduce(path: string, flags: Flags): Promise<void> {
  useArtifactsDirectory(process.env)
  const key = flags.key === undefined ? undefined : readFileArgument('--key', flags.key)
  const bytes = readFileArgument('the statement', path, MAX_STATEMENT_BYTES)
  const { provenance, signature } = readStatement(path, bytes, key)
  const { rootfs, dockerDir, dockerUri, blobs } = flags
  const places = defined({ rootfs, dockerDir, dockerUri, blobs })
  const options = await buildOptions(await inputsOf(provenance.parameters, places))
  const isSigned = provenance.subjects.some(({ name }) => name === 'PCR8')
  const built = await rebuild(options, flags)
  const subjects = compare(provenance.subjects, built.subjects, isSigned && !built.isSigned)
  const inputs = compare(provenance.inputs, built.inputs, false)
  const isSame = subjects.every(({ Same }) => Same !== false)
  printJson({
    Reproduced: isSame,
    StatementSignature: signature,
    Subjects: subjects,
    Inputs: inputs,
  })
  if (!isSame) process.exitCode = STATUS_DIFFERENT
}

interface Rebuilt {
  readonly subjects: readonly Resource[]
  readonly inputs: readonly Resource[]
  readonly isSigned: boolean
}

async function rebuild(
  options: Omit<BuildOptions, 'output' | 'signer'>,
  flags: Flags,
): Promise<Rebuilt> {
  const { report } = new BuildProgress(flags.quiet === true)
  using scratch = temporaryDirectory('reproduce')
  const output = join(scratch.path, 'image.eif')
  await using signer = await openSignerOf(flags)
  const image: BuiltImage = await buildImage({ ...options, ...defined({ signer }), output, report })
  return {
    subjects: await subjectsOf(output, image),
    inputs: await resourcesOf(options, image),
    isSigned: signer !== undefined,
  }
}

interface Comparison {
  readonly Name: string
  /** Null: not compared, as it takes the signer's key. */
  readonly Same: boolean | null
  readonly Stated: string | null
  readonly Built: string | null
}

/** The file is the first on both sides, whatever its name; all else goes by name. */
function compare(
  stated: readonly Resource[],
  built: readonly Resource[],
  isUnsigned: boolean,
): readonly Comparison[] {
  const isFile = (name: string): boolean => !/^(PCR\d+|kernel|init|companion|image)$/.test(name)
  const found = stated.map((resource): Comparison => {
    const { name } = resource
    const other = built.find((it) => (isFile(name) ? isFile(it.name) : it.name === name))
    const [a, b] = [digestOf(resource), other === undefined ? null : digestOf(other)]
    const isLeftOut = isUnsigned && (isFile(name) || name === 'PCR8')
    return { Name: name, Same: isLeftOut ? null : a === b, Stated: a, Built: isLeftOut ? null : b }
  })
  const names = new Set(stated.map(({ name }) => name))
  const added = built.filter(({ name }) => !isFile(name) && !names.has(name))
  return [
    ...found,
    ...added.map((it) => ({ Name: it.name, Same: false, Stated: null, Built: digestOf(it) })),
  ]
}

/** Every digest counts: one that we do not compute makes the two differ. */
function digestOf({ digest: { sha256, sha384 } }: Resource): string {
  const digests = [sha256 && `sha256:${sha256}`, sha384 && `sha384:${sha384}`]
  return digests.filter((it) => it !== undefined).join(' ')
}
