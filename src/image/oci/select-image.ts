// Which manifest of an index is meant: by its name (annotations.md, and containerd's annotation), and by its
// platform (image-index.md). Builders put more than images into an index: BuildKit its provenance, for the
// platform "unknown/unknown", and others signatures and lists of materials.

import { CloisterError } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import type { Descriptor } from './descriptor.ts'
import { canonicalReference, parseDockerReference } from './docker-reference.ts'
import { PLATFORM_NAMES, tagError } from './image-description.ts'
import { asObject, asText } from './json-fields.ts'

const REF_NAME = 'org.opencontainers.image.ref.name'
/** The whole name, where BuildKit, nerdctl and Docker put the tag alone into the other one. */
const CONTAINERD_NAME = 'io.containerd.image.name'
const REFERENCE_TYPE = 'vnd.docker.reference.type'

/** What every processor of an architecture can run. */
const BASE_VARIANTS: Readonly<Record<Architecture, readonly unknown[]>> = {
  x86_64: [undefined, '', 'v1'],
  aarch64: [undefined, '', 'v8'],
}
const SHOWN_PLATFORMS = 20

/**
 * Of the images of a layout the one with a name, or the only one. Of several platforms' images that have
 * it the one for this architecture counts.
 * @throws ERR_IMAGE_TAG, ERR_IMAGE_ARCHITECTURE
 */
export function selectNamed(
  manifests: readonly Descriptor[],
  name: string | undefined,
  architecture: Architecture,
): Descriptor {
  const matches = distinct(
    name === undefined ? manifests.filter(isImage) : withName(manifests, name),
  )
  const candidates = matches.length > 1 ? forPlatform(matches, architecture) : matches
  const [match, second] = candidates
  if (match !== undefined && second === undefined) return match
  const arePlatforms = matches.length > 1 && matches.every((it) => platformOf(it) !== undefined)
  if (match === undefined && arePlatforms) return selectPlatform(matches, architecture)
  throw tagError(name, manifests.filter(isImage).flatMap(shownName), matches.length)
}

/**
 * Of the images of an index the one for an architecture; one that does not say what it is for is taken
 * if there is no other, since its configuration does.
 * @throws ERR_IMAGE_ARCHITECTURE
 */
export function selectPlatform(
  manifests: readonly Descriptor[],
  architecture: Architecture,
): Descriptor {
  const images = distinct(manifests.filter(isImage))
  const [match] = forPlatform(images, architecture)
  if (match !== undefined) return match
  const [only, second] = images
  if (only !== undefined && second === undefined && platformOf(only) === undefined) return only
  const found = images.slice(0, SHOWN_PLATFORMS).map((image) => platformName(platformOf(image)))
  const expected = `linux/${PLATFORM_NAMES[architecture]}`
  const has = found.length === 0 ? 'it has no image' : `its images are for ${found.join(', ')}`
  const message = `there is no image for ${expected} (${architecture}): ${has}`
  throw new CloisterError('ERR_IMAGE_ARCHITECTURE', message, { details: { expected, found } })
}

function withName(manifests: readonly Descriptor[], name: string): readonly Descriptor[] {
  const matches = manifests.filter((manifest) => annotation(manifest, REF_NAME) === name)
  if (matches.length > 0) return matches
  const wanted = completeName(name)
  return manifests.filter((manifest) => {
    const full = annotation(manifest, CONTAINERD_NAME)
    return full !== undefined && completeName(full) === wanted
  })
}

function completeName(name: string): string {
  const reference = parseDockerReference(name)
  return reference === undefined ? name : canonicalReference(reference)
}

/** Those for the architecture; the ones that every processor of it can run, if there are any. */
function forPlatform(
  manifests: readonly Descriptor[],
  architecture: Architecture,
): readonly Descriptor[] {
  const matches = manifests.filter((manifest) => {
    const platform = platformOf(manifest)
    return platform?.os === 'linux' && platform.architecture === PLATFORM_NAMES[architecture]
  })
  const base = matches.filter((manifest) =>
    BASE_VARIANTS[architecture].includes(platformOf(manifest)?.variant),
  )
  return base.length > 0 ? base : matches
}

function isImage(manifest: Descriptor): boolean {
  const isOther = manifest.json['artifactType'] !== undefined
  return !isOther && annotation(manifest, REFERENCE_TYPE) === undefined && !isUnknown(manifest)
}

function isUnknown(manifest: Descriptor): boolean {
  const platform = platformOf(manifest)
  return platform?.os === 'unknown' && platform.architecture === 'unknown'
}

/** An image with two names is one image. */
function distinct(manifests: readonly Descriptor[]): readonly Descriptor[] {
  const digests = manifests.map(({ digest }) => digest)
  return manifests.filter(({ digest }, index) => digests.indexOf(digest) === index)
}

interface Platform {
  readonly os: unknown
  readonly architecture: unknown
  readonly variant: unknown
}

function platformOf({ json }: Descriptor): Platform | undefined {
  if (json['platform'] === undefined || json['platform'] === null) return undefined
  const { os, architecture, variant } = asObject(json['platform'], 'platform')
  return { os, architecture, variant }
}

function platformName(platform: Platform | undefined): string {
  if (platform === undefined) return 'an unnamed platform'
  const { os, architecture, variant } = platform
  const parts = [os, architecture, variant].filter(
    (part) => typeof part === 'string' && part !== '',
  )
  return parts.join('/').slice(0, 60)
}

function shownName(manifest: Descriptor): string | readonly [] {
  return annotation(manifest, REF_NAME) ?? annotation(manifest, CONTAINERD_NAME) ?? []
}

function annotation({ json }: Descriptor, key: string): string | undefined {
  // Go's encoders write an absent map as null.
  if (json['annotations'] === undefined || json['annotations'] === null) return undefined
  const value = asObject(json['annotations'], 'annotations')[key]
  return value === undefined ? undefined : asText(value, key)
}
