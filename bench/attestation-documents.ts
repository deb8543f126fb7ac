// Documents to verify: a root, three intermediates and a leaf, as AWS has them, so that a cold
// verification needs five signatures; every document has a leaf of its own.

import {
  basicConstraints,
  issue,
  keyUsage,
  type Identity,
} from '../attestation/test/issuer/authority.ts'
import { encodeCbor } from '../attestation/test/issuer/cbor-writer.ts'
import {
  chipShape,
  leafShape,
  makePayload,
  makeSign1,
  NOW_MS,
  rootShape,
} from '../attestation/test/issuer/document.ts'

/** Documents of one chain, as base64 for the measuring process. */
export interface BenchDocuments {
  readonly root: string
  readonly atMs: number
  readonly documents: readonly string[]
}

const PUBLIC_KEY_BYTES = 800
const USER_DATA_BYTES = 32

export async function makeBenchDocuments(count: number): Promise<BenchDocuments> {
  const root = await issue(rootShape())
  const region = await issue(caShape('region', 2), root)
  const zone = await issue(caShape('zone', 1), region)
  const chip = await issue(chipShape(), zone)
  const bundle = [root, region, zone, chip].map(({ certificate }) => certificate)
  const documents: string[] = []
  for (let i = 0; i < count; i++) documents.push(await makeOne(root, chip, bundle))
  return { root: toBase64(root.certificate), atMs: NOW_MS, documents }
}

async function makeOne(root: Identity, chip: Identity, cabundle: Uint8Array[]): Promise<string> {
  const leaf = await issue(leafShape(), chip)
  const payload = makePayload(
    { root, chip, leaf },
    {
      cabundle,
      public_key: new Uint8Array(PUBLIC_KEY_BYTES),
      user_data: new Uint8Array(USER_DATA_BYTES),
    },
  )
  return toBase64(await makeSign1(encodeCbor(payload), leaf.keys))
}

function caShape(name: string, pathLength: number) {
  const extensions = [basicConstraints(true, pathLength), keyUsage(0x06, 1)]
  return { ...rootShape(), subject: { CN: name, O: 'Cloister' }, extensions }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
