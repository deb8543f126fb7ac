// Loads the readers of YAML and JSON Schema when a manifest is read, and only then: most commands need neither.

import type { ManifestText } from './manifest-text.ts'

/**
 * @param name - Of the file, for errors.
 * @throws `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD` with line and column
 */
export async function parseManifest(bytes: Uint8Array, name: string): Promise<ManifestText> {
  return (await import('./validate.ts')).validateManifest(bytes, name)
}
