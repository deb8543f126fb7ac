// What a statement of ours may hold. Statements come from elsewhere: what this schema does not know is
// refused, so that nothing of a build is silently left out when it is repeated.

const text = { type: 'string', minLength: 1, maxLength: 4096 } as const
const words = {
  type: 'array',
  maxItems: 1024,
  items: { type: 'string', maxLength: 32_768 },
} as const
const digests = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    sha384: { type: 'string', pattern: '^[0-9a-f]{96}$' },
  },
} as const
const resources = {
  type: 'array',
  minItems: 1,
  maxItems: 16,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'digest'],
    properties: { name: text, digest: digests },
  },
} as const

function object(
  required: readonly string[],
  properties: Readonly<Record<string, object>>,
): Record<string, unknown> {
  return { type: 'object', additionalProperties: false, required: [...required], properties }
}

const parameters = object(['source', 'architecture', 'modes', 'sourceDateEpoch'], {
  source: object([], { rootfs: text, dockerDir: text, dockerUri: text }),
  architecture: { enum: ['x86_64', 'aarch64'] },
  owner: { type: 'string', pattern: '^\\d{1,10}:\\d{1,10}$' },
  modes: { enum: ['keep', 'git'] },
  times: { enum: ['zero', 'keep'] },
  name: text,
  version: text,
  metadata: { type: 'string', maxLength: 65_536 },
  manifest: { type: 'string', maxLength: 65_536 },
  kernelFlavour: { enum: ['standard', 'minimal'] },
  root: { enum: ['cpio', 'squashfs'] },
  cmdline: { type: 'string', maxLength: 4096 },
  entrypoint: words,
  cmd: words,
  env: words,
  workdir: text,
  user: text,
  sourceDateEpoch: { type: 'integer', minimum: 0, maximum: 99_999_999_999 },
})

const builder = object(['id'], { id: text, version: { type: 'object' } })

/** A Statement of in-toto v1 with a predicate of SLSA provenance v1 for a build of ours. */
export const statementSchema = object(['_type', 'subject', 'predicateType', 'predicate'], {
  _type: { const: 'https://in-toto.io/Statement/v1' },
  subject: resources,
  predicateType: { const: 'https://slsa.dev/provenance/v1' },
  predicate: object(['buildDefinition', 'runDetails'], {
    buildDefinition: object(['buildType', 'externalParameters', 'resolvedDependencies'], {
      buildType: { const: 'urn:cloister:build-enclave:1' },
      externalParameters: parameters,
      resolvedDependencies: resources,
    }),
    runDetails: object(['builder'], { builder }),
  }),
})

export const envelopeSchema = object(['payloadType', 'payload', 'signatures'], {
  payloadType: { const: 'application/vnd.in-toto+json' },
  payload: { type: 'string', pattern: '^[A-Za-z0-9+/]+={0,2}$' },
  signatures: {
    type: 'array',
    minItems: 1,
    maxItems: 16,
    items: object(['sig'], {
      keyid: { type: 'string', maxLength: 256 },
      sig: { type: 'string', pattern: '^[A-Za-z0-9+/]{1,1024}={0,2}$' },
    }),
  },
})
