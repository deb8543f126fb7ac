// Names of image sources, as skopeo and buildah write them: containers-transports(5). `dir:` is ours:
// a root file system, not skopeo's directory of blobs.

import { CloisterError, check } from '../../errors.ts'
import { parseDockerReference, type DockerReference } from '../oci/docker-reference.ts'

export type ImageReference =
  | {
      readonly transport: 'oci' | 'oci-archive' | 'docker-archive'
      readonly path: string
      /** Which image of the layout or archive, where there is more than one. */
      readonly tag?: string
    }
  | { readonly transport: 'docker' | 'docker-daemon'; readonly image: DockerReference }
  | { readonly transport: 'dir'; readonly path: string }

const EXAMPLES =
  'Write NAME:TAG or docker://NAME:TAG for a registry, docker-daemon:NAME:TAG, oci:DIR[:REF], ' +
  'oci-archive:FILE[:REF], docker-archive:FILE[:NAME:TAG], or dir:ROOTFS.'

/** Of skopeo, and of other tools: they are not names of repositories. */
const OTHER_TRANSPORTS = [
  'containers-storage',
  'ostree',
  'sif',
  'tarball',
  'atomic',
  'http',
  'https',
]

/**
 * Reads the name of an image source.
 * @throws ERR_IMAGE_REFERENCE
 */
export function parseImageReference(text: string): ImageReference {
  const [, transport = '', rest = ''] = /^([a-z][a-z-]*):(.*)$/s.exec(text) ?? []
  if (transport === 'oci' || transport === 'oci-archive' || transport === 'docker-archive') {
    return { transport, ...splitPath(text, rest) }
  }
  if (transport === 'dir') {
    check(rest !== '', 'ERR_IMAGE_REFERENCE', `${text} names no directory`, { hint: EXAMPLES })
    return { transport, path: rest }
  }
  if (transport === 'docker-daemon') return { transport, image: dockerImage(text, rest) }
  if (transport === 'docker' && rest.startsWith('//')) {
    return { transport, image: dockerImage(text, rest.slice('//'.length)) }
  }
  if (OTHER_TRANSPORTS.includes(transport)) throw unusable(text, `${transport}: is not supported`)
  return { transport: 'docker', image: dockerImage(text, text) }
}

/** skopeo's rule: a path ends at the first colon, and what follows may have more of them. */
function splitPath(text: string, rest: string): { readonly path: string; readonly tag?: string } {
  const colon = rest.indexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  check(path !== '', 'ERR_IMAGE_REFERENCE', `${text} names no path`, { hint: EXAMPLES })
  if (colon < 0) return { path }
  const tag = rest.slice(colon + 1)
  check(tag !== '', 'ERR_IMAGE_REFERENCE', `${text} ends with a colon`, { hint: EXAMPLES })
  return { path, tag }
}

function dockerImage(text: string, name: string): DockerReference {
  const image = parseDockerReference(name)
  if (image !== undefined) return image
  throw unusable(text, `${text} is not the name of an image`)
}

function unusable(text: string, message: string): CloisterError {
  return new CloisterError('ERR_IMAGE_REFERENCE', message, {
    details: { reference: text },
    hint: EXAMPLES,
  })
}
