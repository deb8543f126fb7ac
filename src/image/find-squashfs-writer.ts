// Where the program is that writes root file systems. In this folder, which lies as deep as the bundle's:
// the path is relative to the module.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { CloisterError } from '../errors.ts'

/**
 * `CLOISTER_SQUASHFS`, else what the set-up built.
 * @throws ERR_IMAGE_TOOL_MISSING
 */
export function findSquashfsWriter(): string {
  const installed = new URL('../../build/bin/cloister-squashfs', import.meta.url)
  const path = process.env['CLOISTER_SQUASHFS'] ?? fileURLToPath(installed)
  if (existsSync(path)) return path
  throw new CloisterError('ERR_IMAGE_TOOL_MISSING', `${path} does not exist`, {
    details: { tool: 'cloister-squashfs', path },
    hint: 'Run `npm run setup`, which builds it, or build with --root cpio.',
  })
}
