// Names of image sources, as skopeo and buildah write them: containers-transports(5). Only what
// lies on disk can be built from: a daemon or a registry would be an input that is not verified.

import { stat } from 'node:fs/promises'

import { CloisterError, check } from '../errors.ts'

export interface ImageReference {
  readonly transport: 'oci' | 'oci-archive'
  readonly path: string
  readonly tag?: string
}

/**
 * Reads `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`.
 * @throws ERR_IMAGE_SOURCE_UNSUPPORTED for anything that needs a daemon or a registry
 */
export async function parseImageReference(text: string): Promise<ImageReference> {
  const match = /^(oci|oci-archive):(.+)$/s.exec(text)
  const [, transport, rest] = match ?? []
  if (transport === undefined || rest === undefined) throw unsupported(text)
  const [path, tag] = await splitTag(rest)
  check(path !== '', 'ERR_IMAGE_SOURCE_UNSUPPORTED', `${text} names no path`)
  return {
    transport: transport as ImageReference['transport'],
    path,
    ...(tag !== undefined && { tag }),
  }
}

/** A path may itself contain a colon: what exists as it stands has no tag. */
async function splitTag(rest: string): Promise<[string, string?]> {
  const colon = rest.lastIndexOf(':')
  if (colon < 0 || (await exists(rest))) return [rest]
  return [rest.slice(0, colon), rest.slice(colon + 1)]
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function unsupported(text: string): CloisterError {
  const message = `${text} would need a Docker daemon or a registry`
  return new CloisterError('ERR_IMAGE_SOURCE_UNSUPPORTED', message, {
    details: { reference: text },
    hint:
      `Copy the image to an OCI layout first: \`skopeo copy docker://${text} oci:image:latest\` ` +
      '(or docker-daemon: instead of docker://), then build from oci:image:latest.',
  })
}
