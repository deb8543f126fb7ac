// What is built of this checkout, as it is installed: the second disk of the lab, at /cloister.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bash } from './commands.ts'
import { cachedImage } from './image-cache.ts'
import { repository } from './repository.ts'

const parts = [
  ...[
    'package.json',
    'bundle',
    'dist',
    'build/bin',
    'build/blobs',
    'build/hello',
    'test/lab/inside',
    'test/fixtures',
  ],
  ...['attestation/package.json', 'attestation/dist', 'node_modules/@cloister'],
]

const HASH = `
cd "$1"; shift
find "$@" -type f -print0 | sort -z | xargs -0 sha256sum
find "$@" -printf '%p %y %m %l\\n' | sort
`
const MAKE_IMAGE = `
image=$1; cd "$2"; shift 2
tar --create --sort=name "$@" | sqfstar -quiet -no-progress -all-root -noI -noD -noF -noX "$image" 2>/dev/null
`

export async function projectImage(): Promise<string> {
  const paths = [...parts, ...productionPackages()]
  const inputs = [MAKE_IMAGE, await bash(HASH, repository, ...paths)]
  return cachedImage('project', inputs, (image) => bash(MAKE_IMAGE, image, repository, ...paths))
}

/** The npm packages that are not for development alone, where they lie. */
function productionPackages(): readonly string[] {
  const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly link?: boolean }>>
  }
  return Object.entries(lock.packages)
    .filter(
      ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true,
    )
    .map(([path]) => path)
    .filter((path) => existsSync(join(repository, path)))
}
