// Real AWS documents for the tests: the directory `CLOISTER_VECTORS`, else `shared/vectors` beside the
// repository. They are not in the repository; where the default is absent the tests over them are
// skipped, where a directory is named it must have them. Vite gives them to Node and browsers alike.

import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Plugin } from 'vite'

const NAME = 'virtual:aws-documents'
const BESIDE = resolve(import.meta.dirname, '../../../../shared/vectors')

interface Index {
  readonly documents: readonly { readonly file: string }[]
}

/** Resolves `virtual:aws-documents`: every document with what is known of it. */
export function awsDocuments(): Plugin {
  return {
    name: 'aws-documents',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify(read())}` : undefined),
  }
}

/** @throws Error when `CLOISTER_VECTORS` names a directory without them. */
function read(): readonly object[] {
  const named = process.env['CLOISTER_VECTORS']
  const directory = resolve(named ?? BESIDE, 'aws')
  const index = resolve(directory, 'index.json')
  if (named === undefined && !existsSync(index)) return []
  const { documents } = JSON.parse(readFileSync(index, 'utf8')) as Index
  if (documents.length === 0) throw new Error(`${index} lists no documents`)
  return documents.map((document) => ({
    ...document,
    base64: readFileSync(resolve(directory, document.file)).toString('base64'),
  }))
}
