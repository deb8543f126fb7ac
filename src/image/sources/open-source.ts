// Opens whatever an image is made from, as one tree and one configuration.

import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

import type { Architecture } from '../../eif/index.ts'
import { check } from '../../errors.ts'
import { temporaryDirectory } from '../../files/index.ts'
import { buildDockerfile, copyImage } from './copy-image.ts'
import { readDirectorySource, type DirectoryOptions } from './directory-source.ts'
import { canonicalReference, type DockerReference } from '../oci/docker-reference.ts'
import type { JsonObject } from '../oci/json-fields.ts'
import { parseImageReference } from './image-reference.ts'
import { readLayeredSource, type LayeredImage, type LayeredSource } from './layered-source.ts'
import type { ReportProgress } from '../progress.ts'
import type { ImageConfig } from '../config/run-config.ts'
import type { TimesRule } from '../tree/times.ts'
import type { Directory } from '../tree/tree.ts'

export type ImageSource =
  /** A name as containers-transports(5) has them, or `dir:ROOTFS`. */
  | { readonly kind: 'image'; readonly reference: string }
  /** A directory with a Dockerfile; `name` is the image's. */
  | { readonly kind: 'dockerfile'; readonly directory: string; readonly name?: string }
  /** A root file system in a directory of the host. */
  | { readonly kind: 'directory'; readonly path: string }

export interface OpenOptions {
  readonly architecture: Architecture
  readonly directory: DirectoryOptions
  readonly times: TimesRule
  readonly report: ReportProgress
}

/** A source that was opened; its contents can be read until it is disposed of. */
export interface OpenSource extends AsyncDisposable {
  readonly root: Directory
  readonly config: ImageConfig
  /** Labels, where the user gives none. */
  readonly name: string
  readonly version: string
  /** Digest of the image's configuration, as `sha256:…`; absent for a directory. */
  readonly id?: string
  /** As `docker image inspect` shows it, without RepoTags; absent for a directory. */
  readonly dockerInfo?: JsonObject
  /** `name:tag` without registry and path. */
  readonly repoTag?: string
}

const EMPTY_CONFIG: ImageConfig = { entrypoint: [], cmd: [], env: [], workdir: '', user: '' }

/** @throws ERR_IMAGE_* */
export async function openSource(source: ImageSource, options: OpenOptions): Promise<OpenSource> {
  if (source.kind === 'directory') return openDirectory(source.path, options)
  if (source.kind === 'dockerfile') return openDockerfile(source.directory, source.name, options)
  const reference = parseImageReference(source.reference)
  if (reference.transport === 'dir') {
    checkNotBlobs(reference.path)
    return openDirectory(reference.path, options)
  }
  if (!('image' in reference)) {
    const image = await readLayeredSource(reference, options)
    return labelled(image, reference.tag ?? basename(resolve(reference.path)))
  }
  return openRemote(reference.transport, reference.image, options)
}

/** In skopeo's and buildah's words, `dir:` is a directory of blobs. */
function checkNotBlobs(path: string): void {
  const isOfBlobs = ['version', 'manifest.json'].every((name) => existsSync(join(path, name)))
  check(!isOfBlobs, 'ERR_IMAGE_REFERENCE', `${path} is not a root file system`, {
    details: { path },
    hint: `It looks like an image as skopeo stores it in a directory. Copy it first: \`skopeo copy dir:${path} oci:LAYOUT\`, and build from oci:LAYOUT. If it is a root file system, give it with --rootfs.`,
  })
}

async function openDirectory(path: string, options: OpenOptions): Promise<OpenSource> {
  return {
    root: await readDirectorySource(path, options.directory),
    config: EMPTY_CONFIG,
    name: basename(resolve(path)),
    version: '1.0',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function openDockerfile(
  context: string,
  name: string | undefined,
  options: OpenOptions,
): Promise<OpenSource> {
  const label = name ?? basename(resolve(context))
  options.report({ step: 'build', what: label })
  return fetched(label, options, (directory) => buildDockerfile(context, { ...options, directory }))
}

async function openRemote(
  transport: 'docker' | 'docker-daemon',
  image: DockerReference,
  options: OpenOptions,
): Promise<OpenSource> {
  options.report({ step: 'pull', what: canonicalReference(image) })
  return fetched(canonicalReference(image), options, (directory) =>
    copyImage(transport, image, { architecture: options.architecture, directory }),
  )
}

/** The layout is only needed until its layers are unpacked. */
async function fetched(
  name: string,
  options: OpenOptions,
  fetch: (directory: string) => Promise<LayeredImage>,
): Promise<OpenSource> {
  using scratch = temporaryDirectory('image')
  const image = await fetch(scratch.path)
  return labelled(await readLayeredSource(image, options), name)
}

/** The last part of an image's name, without registry, tag and digest. */
function labelled(image: LayeredSource, name: string): OpenSource {
  const label = name.replace(/^.*\//, '').replace(/[:@].*$/, '')
  const repoTag = /^[^:@]+(:[\w.-]+)?/.exec(name.replace(/^.*\//, ''))?.[0] ?? ''
  return {
    ...image,
    name: label === '' ? name : label,
    version: image.id,
    ...(repoTag !== '' && { repoTag: repoTag.includes(':') ? repoTag : `${repoTag}:latest` }),
  }
}
