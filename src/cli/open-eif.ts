// Opens an image file for the commands that read one.

import { open } from 'node:fs/promises'

import { CloisterError } from '../errors.ts'
import { readEif, sourceOfFile, type Eif } from '../eif/index.ts'

/** @throws ERR_EIF_UNREADABLE and every other ERR_EIF_* of the reader */
export async function readEifFile(path: string): Promise<Eif> {
  await using handle = await open(path).catch((cause: unknown) => {
    throw new CloisterError('ERR_EIF_UNREADABLE', `cannot read ${path}`, {
      details: { path },
      cause,
    })
  })
  return await readEif(sourceOfFile(handle, (await handle.stat()).size))
}
