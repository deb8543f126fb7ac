// The provenance of an image: an in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md) with
// a predicate of SLSA provenance v1 (slsa.dev/provenance/v1). Its subjects are the image's file and its
// PCRs, so that a verifier of a document finds the build by the PCRs in it.

import { Ajv, type ValidateFunction } from 'ajv'

import { CloisterError, check } from '../errors.ts'
import { DOCUMENT_BOUNDS, parseBoundedJson } from '../bounded-json.ts'
import { openEnvelope, payloadOf, signEnvelope, type Envelope } from './dsse.ts'
import { envelopeSchema, statementSchema } from './statement.schema.ts'

/** Something that is named by its digests, in lower-case hex. */
export interface Resource {
  readonly name: string
  readonly digest: { readonly sha256?: string; readonly sha384?: string }
}

/** Everything that decides what a build gives, but for the bytes of its inputs. */
export interface BuildParameters {
  /** As it was given; paths are relative to where the build ran, or to its manifest. */
  readonly source: {
    readonly rootfs?: string
    readonly dockerDir?: string
    readonly dockerUri?: string
  }
  readonly architecture: 'x86_64' | 'aarch64'
  readonly owner?: string
  readonly modes: 'keep' | 'git'
  /** Absent: `zero`. */
  readonly times?: 'zero' | 'keep'
  readonly name?: string
  readonly version?: string
  /** The text of the custom metadata. */
  readonly metadata?: string
  /** The text of the manifest. */
  readonly manifest?: string
  readonly kernelFlavour?: 'standard' | 'minimal'
  readonly root?: 'cpio' | 'squashfs'
  readonly cmdline?: string
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly user?: string
  /** Seconds since 1970. */
  readonly sourceDateEpoch: number
}

export interface Provenance {
  /** The file of the image, then PCR0, PCR1, PCR2 and, of a signed image, PCR8. */
  readonly subjects: readonly Resource[]
  readonly parameters: BuildParameters
  /** `kernel`, `init` and, where the source has an id, `image`. */
  readonly inputs: readonly Resource[]
}

interface Statement {
  readonly _type: string
  readonly subject: readonly Resource[]
  readonly predicateType: string
  readonly predicate: {
    readonly buildDefinition: {
      readonly buildType: string
      readonly externalParameters: BuildParameters
      readonly resolvedDependencies: readonly Resource[]
    }
    readonly runDetails: {
      readonly builder: { readonly id: string; readonly version?: object }
    }
  }
}

const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
/** Larger than any statement whose manifest and metadata are as large as they may be. */
export const MAX_STATEMENT_BYTES = 512 * 1024

const BUILDER = { id: 'urn:cloister:builder:local', version: { cloister: '0.1.0' } } as const

/**
 * The text of a statement, the same for the same build: it names no time and no machine.
 *
 * @param keyPem - Of who signs it; the text is then an envelope (DSSE).
 * @throws `ERR_PROVENANCE_KEY`
 */
export function writeProvenance(provenance: Provenance, keyPem?: Uint8Array): string {
  const statement = stringify(statementOf(provenance))
  if (keyPem === undefined) return statement
  return stringify(signEnvelope(Buffer.from(statement), PAYLOAD_TYPE, keyPem))
}

/** What is known of who made a statement: nothing, unless its signature was verified. */
export type SignatureState = 'none' | 'not verified' | 'verified'

/**
 * Reads a statement, or an envelope with one.
 *
 * @param keyPem - Of who must have signed it: a public key or a certificate.
 * @throws `ERR_PROVENANCE_STATEMENT`, `ERR_PROVENANCE_KEY`, `ERR_PROVENANCE_SIGNATURE`
 */
export function readProvenance(
  bytes: Uint8Array,
  keyPem?: Uint8Array,
): { readonly provenance: Provenance; readonly signature: SignatureState } {
  const outer = parse(bytes)
  if (!isEnvelope(outer)) {
    const message = 'the statement is not signed, and a key was given'
    check(keyPem === undefined, 'ERR_PROVENANCE_SIGNATURE', message)
    return { provenance: provenanceOf(outer), signature: 'none' }
  }
  const envelope = valid(outer, compile<Envelope>(envelopeSchema), 'envelope')
  if (keyPem === undefined)
    return { provenance: provenanceOf(parse(payloadOf(envelope))), signature: 'not verified' }
  const payload = openEnvelope(envelope, keyPem)
  return { provenance: provenanceOf(parse(payload)), signature: 'verified' }
}

function statementOf({ subjects, parameters, inputs }: Provenance): Statement {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects,
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:cloister:build-enclave:1',
        externalParameters: parameters,
        resolvedDependencies: inputs,
      },
      runDetails: { builder: BUILDER },
    },
  }
}

function provenanceOf(value: unknown): Provenance {
  const { subject, predicate } = valid(value, compile<Statement>(statementSchema), 'statement')
  const files = subject.filter(({ name }) => !/^PCR\d+$/.test(name))
  const fault = `the statement has ${String(files.length)} files as subjects, not one`
  check(files.length === 1, 'ERR_PROVENANCE_STATEMENT', fault)
  for (const register of ['PCR0', 'PCR1', 'PCR2'])
    check(
      subject.some(({ name }) => name === register),
      'ERR_PROVENANCE_STATEMENT',
      `the statement has no subject ${register}`,
    )
  const { externalParameters, resolvedDependencies } = predicate.buildDefinition
  return { subjects: subject, parameters: externalParameters, inputs: resolvedDependencies }
}

function isEnvelope(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'payloadType' in value
}

function parse(bytes: Uint8Array): unknown {
  return parseBoundedJson(bytes, {
    ...DOCUMENT_BOUNDS,
    code: 'ERR_PROVENANCE_STATEMENT',
    name: 'the statement',
  })
}

function compile<T>(schema: Record<string, unknown>): ValidateFunction<T> {
  return new Ajv({ strict: true }).compile<T>(schema)
}

function valid<T>(value: unknown, validate: ValidateFunction<T>, name: string): T {
  if (validate(value)) return value
  const [error] = validate.errors ?? []
  const path = error?.instancePath.slice(1).replaceAll('/', '.') ?? ''
  const reason = `${path === '' ? 'it' : path} ${error?.message ?? 'is malformed'}`
  const unknown = (error?.params as { readonly additionalProperty?: string } | undefined)
    ?.additionalProperty
  const key = unknown === undefined ? '' : ` (${unknown})`
  throw new CloisterError(
    'ERR_PROVENANCE_STATEMENT',
    `not a ${name} that build-enclave writes: ${reason}${key}`,
  )
}

function stringify(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
