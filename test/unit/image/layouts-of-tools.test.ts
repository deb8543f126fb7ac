// Layouts and archives as buildx, kaniko, nerdctl, Docker, oras and cosign write them, each with what makes it
// differ from those that skopeo, umoci and buildah write for the other tests.

import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

import { CloisterError } from '../../../src/errors.ts'
import { openSource } from '../../../src/image/sources/open-source.ts'
import { readLayeredSource, type LayeredImage } from '../../../src/image/sources/layered-source.ts'
import { codeOf } from '../../fixtures/code-of.ts'
import { digestOf, tarOf, type Member } from '../../fixtures/image/archive.ts'
import { LayoutWriter, TYPES, type ImageParts } from '../../fixtures/image/layout-writer.ts'
import { makeScratch } from '../../fixtures/temporary-directory.ts'

type Architecture = 'x86_64' | 'aarch64'

/** The contents of the image's file `/name`; or the code and the message of the error. */
async function read(image: LayeredImage, architecture: Architecture = 'x86_64'): Promise<string> {
  try {
    await using source = await readLayeredSource(image, { architecture })
    const node = source.root.entries.get('name')
    if (node?.kind !== 'file') return 'no file'
    const chunks: Uint8Array[] = []
    for await (const chunk of node.content.chunks()) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    return `${error.code}: ${error.message} ${error.hint}`
  }
}

const newLayout = async (): Promise<LayoutWriter> => new LayoutWriter(await makeScratch())

const oci = ({ path }: LayoutWriter, tag?: string): LayeredImage => ({
  ...{ transport: 'oci', path },
  ...(tag !== undefined && { tag }),
})

const platform = (os: string, architecture: string, variant?: string): object => ({
  platform: { os, architecture, ...(variant !== undefined && { variant }) },
})
const named = (ref: string, full?: string): object => ({
  annotations: {
    'org.opencontainers.image.ref.name': ref,
    ...(full !== undefined && { 'io.containerd.image.name': full }),
  },
})

/** What buildx adds for each platform, unless it is told not to. */
function attestation(layout: LayoutWriter, of: string): object {
  const config = layout.blob(TYPES.config, { architecture: 'unknown', os: 'unknown' })
  const layers = [layout.blob('application/vnd.in-toto+json', { _type: 'statement' })]
  const annotations = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': of,
  }
  const manifest = layout.blob(TYPES.manifest, { schemaVersion: 2, config, layers })
  return { ...manifest, ...platform('unknown', 'unknown'), annotations }
}

describe('the index of several platforms', () => {
  it('of buildx gives the image that --arch names, whatever it says of its provenance', async () => {
    const layout = await newLayout()
    const amd = await layout.image({ name: 'amd64' })
    const arm = await layout.image({ name: 'arm64', architecture: 'arm64' })
    const index = layout.indexBlob(
      attestation(layout, amd.digest),
      { ...arm, ...platform('linux', 'arm64', 'v8') },
      { ...amd, ...platform('linux', 'amd64') },
    )
    layout.index({ ...index, ...named('1', 'docker.io/library/app:1') })
    expect(await read(oci(layout))).toBe('amd64')
    expect(await read(oci(layout), 'aarch64')).toBe('arm64')
  })

  it('may lie in index.json itself, with or without a name', async () => {
    const layout = await newLayout()
    const amd = await layout.image({ name: 'amd64' })
    const arm = await layout.image({ name: 'arm64', architecture: 'arm64' })
    layout.index(
      { ...arm, ...platform('linux', 'arm64'), ...named('1') },
      { ...amd, ...platform('linux', 'amd64'), ...named('1') },
      attestation(layout, amd.digest),
    )
    for (const tag of [undefined, '1']) {
      expect(await read(oci(layout, tag))).toBe('amd64')
      expect(await read(oci(layout, tag), 'aarch64')).toBe('arm64')
    }
  })

  it('says which platforms there are when ours is not among them', async () => {
    const layout = await newLayout()
    const arm = await layout.image({ name: 'arm64', architecture: 'arm64' })
    const entries = [
      { ...arm, ...platform('linux', 'arm64', 'v8') },
      { ...(await layout.image({ name: 's390x' })), ...platform('linux', 's390x') },
    ]
    for (const index of [[layout.indexBlob(...entries)], entries]) {
      layout.index(...index)
      expect(await read(oci(layout))).toMatch(
        /^ERR_IMAGE_ARCHITECTURE: .*linux\/amd64 .*linux\/arm64\/v8, linux\/s390x/,
      )
    }
  })

  it('gives what every processor can run, rather than what newer ones can', async () => {
    const layout = await newLayout()
    const [newer, base] = [await layout.image({ name: 'v3' }), await layout.image({ name: 'base' })]
    const entries = [
      { ...newer, ...platform('linux', 'amd64', 'v3') },
      { ...base, ...platform('linux', 'amd64') },
    ]
    for (const index of [[layout.indexBlob(...entries)], entries]) {
      layout.index(...index)
      expect(await read(oci(layout))).toBe('base')
    }
    layout.index(...entries.slice(0, 1))
    expect(await read(oci(layout))).toBe('v3')
  })

  it('of one image need not name its platform, which its configuration does', async () => {
    const layout = await newLayout()
    layout.index(layout.indexBlob(await layout.image({ name: 'one' })))
    expect(await read(oci(layout))).toBe('one')
    expect(await read(oci(layout), 'aarch64')).toMatch(/^ERR_IMAGE_ARCHITECTURE/)
  })
})

describe('the name of an image', () => {
  it('is what containerd, nerdctl and Docker write, in whole or as its tag', async () => {
    const layout = await newLayout()
    const [first, second] = [await layout.image({ name: '1' }), await layout.image({ name: '2' })]
    layout.index(
      { ...first, ...named('1', 'docker.io/library/app:1') },
      { ...second, ...named('2', 'ghcr.io/team/app:2') },
    )
    for (const tag of ['1', 'app:1', 'docker.io/library/app:1'])
      expect(await read(oci(layout, tag)), tag).toBe('1')
    expect(await read(oci(layout, 'ghcr.io/team/app:2'))).toBe('2')
    for (const tag of ['ghcr.io/team/app', 'app:2', undefined])
      expect(await read(oci(layout, tag))).toMatch(/^ERR_IMAGE_TAG: .*it has 1, 2/)
  })

  it('is not needed beside signatures and lists of materials of the image', async () => {
    const layout = await newLayout()
    const image = await layout.image({ name: 'app' })
    const empty = layout.blob('application/vnd.oci.empty.v1+json', Buffer.from('{}'))
    const artifactType = 'application/spdx+json'
    const list = layout.blob(TYPES.manifest, { artifactType, config: empty, layers: [empty] })
    layout.index(image, { ...list, artifactType }, attestation(layout, image.digest))
    expect(await read(oci(layout))).toBe('app')
  })
})

const WINDOWS_LAYER = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'

describe('what is not a container image', () => {
  it.each<[string, Partial<ImageParts>, RegExp]>([
    ['a chart', { configType: 'application/vnd.cncf.helm.config.v1+json' }, /artifact .*helm/],
    [
      'schema 1',
      { manifestType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' },
      /schema 1/,
    ],
    [
      'a signature',
      { layerType: 'application/vnd.dev.cosign.simplesigning.v1+json' },
      /not a layer/,
    ],
    ['an encrypted image', { layerType: `${TYPES.layer}+encrypted` }, /encrypted.*skopeo copy/],
  ])('is refused as %s', async (_, parts, words) => {
    const layout = await newLayout()
    layout.index(await layout.image({ name: 'x', ...parts }))
    const said = await read(oci(layout))
    expect(said).toMatch(/^ERR_IMAGE_LAYOUT/)
    expect(said).toMatch(words)
  })
})

/** A layer as eStargz has it: a gzip member for each file, and an empty one with the table's place. */
function inMembers(layer: Buffer): Buffer {
  const parts = [layer.subarray(0, 512), layer.subarray(512, 1024), layer.subarray(1024)]
  return Buffer.concat([...parts, Buffer.alloc(0)].map((part) => gzipSync(part)))
}

/** A zstd frame that stores its data, and one to be skipped, as zstd:chunked has for its table. */
function chunked(layer: Buffer): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 0])
  header.writeUInt16LE(layer.length - 256, 5)
  const block = Buffer.alloc(3)
  block.writeUIntLE((layer.length << 3) | 1, 0, 3)
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])
  return Buffer.concat([skipped, header, block, layer, skipped])
}

describe('a layer', () => {
  it.each<[string, Partial<ImageParts>]>([
    ['eStargz', { pack: inMembers }],
    ['zstd:chunked', { pack: chunked, layerType: 'application/vnd.oci.image.layer.v1.tar+zstd' }],
    [
      'buildx with zstd for Docker',
      { pack: chunked, layerType: 'application/vnd.docker.image.rootfs.diff.tar.zstd' },
    ],
    ['a base image that must not be passed on', { layerType: WINDOWS_LAYER }],
    [
      'the same in OCI',
      { layerType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
    ],
  ])('of %s is unpacked', async (_, parts) => {
    const layout = await newLayout()
    layout.index(await layout.image({ name: 'app', ...parts }))
    expect(await read(oci(layout))).toBe('app')
  })

  it('that is damaged is named by its place and its digest', async () => {
    const layout = await newLayout()
    const noise = Buffer.alloc(2048, 'x')
    const layers = [Buffer.alloc(1024), noise].map((bytes) =>
      layout.blob(TYPES.layer, gzipSync(bytes)),
    )
    const diffIds = [Buffer.alloc(1024), noise].map(digestOf)
    const config = layout.blob(TYPES.config, {
      ...{ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: diffIds } },
    })
    layout.index(layout.blob(TYPES.manifest, { schemaVersion: 2, config, layers }))
    expect(await read(oci(layout))).toMatch(/^ERR_IMAGE_TAR: layer 2 of 2: /)
  })

  it('that others distribute and nobody has fetched is named with its address', async () => {
    const layout = await newLayout()
    const layer = { urls: ['https://example.com/base.tar.gz'] }
    const image = await layout.image({ name: 'app', layerType: WINDOWS_LAYER, layer })
    layout.index(image)
    expect(await read(oci(layout))).toBe('app')
    const { layers } = JSON.parse(readFileSync(layout.place(image.digest), 'utf8')) as {
      readonly layers: readonly { readonly digest: string }[]
    }
    layout.remove(layers[0]?.digest ?? '')
    const said = await read(oci(layout))
    expect(said).toMatch(/^ERR_IMAGE_SOURCE_MISSING: .*https:\/\/example.com\/base.tar.gz/)
    expect(said).toContain(`blobs/${layers[0]?.digest.replace(':', '/') ?? ''}`)
  })
})

interface Saved {
  readonly config: string
  readonly layers: readonly string[]
  readonly members: (layer: Buffer) => readonly Member[]
}

async function dockerArchive(parts: (hex: string) => Saved): Promise<LayeredImage> {
  const layer = await tarOf([{ name: 'name', data: 'app' }])
  const empty = Buffer.alloc(1024)
  const diffIds = [empty, layer, empty].map(digestOf)
  const json = JSON.stringify({
    ...{ os: 'linux', architecture: 'amd64', config: { Cmd: ['/name'] } },
    rootfs: { type: 'layers', diff_ids: diffIds },
  })
  const hex = digestOf(Buffer.from(json)).slice('sha256:'.length)
  const { config, layers, members } = parts(hex)
  const manifest = JSON.stringify([{ Config: config, RepoTags: ['app:1'], Layers: layers }])
  const path = join(await makeScratch(), 'saved.tar')
  const files = [...members(layer), { name: config, data: json }]
  await writeFile(path, await tarOf([...files, { name: 'manifest.json', data: manifest }]))
  return { transport: 'docker-archive', path, tag: 'app:1' }
}

const bytes = (data: Buffer): { readonly data: string } => ({ data: data as unknown as string })
const EMPTY = Buffer.alloc(1024)

describe('a docker archive', () => {
  it('of Docker before 25 has a directory for each layer, and links for those that repeat', async () => {
    const image = await dockerArchive((hex) => ({
      config: `${hex}.json`,
      layers: ['aa/layer.tar', 'bb/layer.tar', 'cc/layer.tar'],
      members: (layer) => [
        { name: 'aa/', type: 'directory' },
        { name: 'aa/VERSION', data: '1.0' },
        { name: 'aa/json', data: '{}' },
        { name: 'aa/layer.tar', ...bytes(EMPTY) },
        { name: 'bb/layer.tar', ...bytes(layer) },
        { name: 'cc/layer.tar', type: 'symlink', linkname: '../aa/layer.tar' },
        { name: 'repositories', data: '{}' },
      ],
    }))
    expect(await read(image)).toBe('app')
  })

  it('of kaniko has packed layers, each once, and a configuration without .json', async () => {
    const image = await dockerArchive((hex) => ({
      config: `sha256:${hex}`,
      layers: ['aa.tar.gz', 'bb.tar.gz', 'aa.tar.gz'],
      members: (layer) => [
        { name: 'aa.tar.gz', ...bytes(gzipSync(EMPTY)) },
        { name: 'bb.tar.gz', ...bytes(gzipSync(layer)) },
      ],
    }))
    expect(await read(image)).toBe('app')
    const forged = await dockerArchive(() => ({
      config: `sha256:${'0'.repeat(64)}`,
      layers: ['aa.tar', 'bb.tar', 'aa.tar'],
      members: (layer) => [
        { name: 'aa.tar', ...bytes(EMPTY) },
        { name: 'bb.tar', ...bytes(layer) },
      ],
    }))
    expect(await read(forged)).toMatch(/^ERR_IMAGE_DIGEST/)
  })

  it('may have a layer without a single byte', async () => {
    const nothing = Buffer.alloc(0)
    const layer = await tarOf([{ name: 'name', data: 'app' }])
    const diffIds = [nothing, layer].map(digestOf)
    const config = JSON.stringify({
      ...{ os: 'linux', architecture: 'amd64', config: {} },
      rootfs: { type: 'layers', diff_ids: diffIds },
    })
    const path = join(await makeScratch(), 'saved.tar')
    const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: null, Layers: ['a', 'b'] }])
    const members = [
      { name: 'a', ...bytes(nothing) },
      { name: 'b', ...bytes(layer) },
      { name: 'c.json', data: config },
      { name: 'manifest.json', data: manifest },
    ]
    await writeFile(path, await tarOf(members))
    expect(await read({ transport: 'docker-archive', path })).toBe('app')
  })

  it('is told apart from an OCI archive and from the archive of a root file system', async () => {
    const scratch = await makeScratch()
    const path = join(scratch, 'x.tar')
    const tell = async (name: string, transport: LayeredImage['transport']): Promise<string> => {
      await writeFile(path, await tarOf([{ name, data: '{}' }]))
      return read({ transport, path })
    }
    expect(await tell('manifest.json', 'oci-archive')).toContain(`use docker-archive:${path}`)
    expect(await tell('oci-layout', 'docker-archive')).toContain(`use oci-archive:${path}`)
    expect(await tell('repositories', 'docker-archive')).toContain('before 1.10')
    expect(await tell('etc/passwd', 'docker-archive')).toContain('dir:ROOTFS')
    await writeFile(path, 'a file of another kind\n'.repeat(100))
    const said = await read({ transport: 'docker-archive', path })
    expect(said).toMatch(/^ERR_IMAGE_TAR: .*x.tar is not a tar archive/)
  })
})

describe('a directory', () => {
  it("as skopeo's dir: writes it is not taken for a root file system", async () => {
    const path = await makeScratch()
    await writeFile(join(path, 'version'), 'Directory Transport Version: 1.1\n')
    await writeFile(join(path, 'manifest.json'), '{}')
    const options = {
      architecture: 'x86_64',
      directory: {},
      times: 'zero',
      report: () => undefined,
    } as const
    const open = openSource({ kind: 'image', reference: `dir:${path}` }, options)
    expect(await codeOf(open)).toBe('ERR_IMAGE_REFERENCE')
    await using given = await openSource({ kind: 'directory', path }, options)
    expect([...given.root.entries.keys()].sort()).toEqual(['manifest.json', 'version'])
  })
})
