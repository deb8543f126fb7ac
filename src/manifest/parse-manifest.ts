// Loads the readers of YAML and JSON Schema when a manifest is read, and only then: most commands need neither.

import { canonicalEgress, type EgressPolicy } from './egress.ts'
import type { ManifestText } from './manifest-text.ts'

/**
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export async function parseManifest(bytes: Uint8Array, name: string): Promise<ManifestText> {
  return (await import('./validate.ts')).validateManifest(bytes, name)
}

/**
 * Rules of an operator: what `egress` of a manifest would say, as YAML or JSON.
 *
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export async function parseEgress(bytes: Uint8Array, name: string): Promise<EgressPolicy> {
  return canonicalEgress((await import('./validate.ts')).validateEgress(bytes, name))
}

/**
 * The rules of a whole manifest, or of a file that has nothing else; none where the manifest has none.
 *
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export async function parseAnyEgress(
  bytes: Uint8Array,
  name: string,
): Promise<EgressPolicy | undefined> {
  const text = (await import('./validate.ts')).validateAnyEgress(bytes, name)
  return text && canonicalEgress(text)
}
