import { describe, expect, it } from 'vitest'

import { contentOfBytes } from '../../../src/eif/index.ts'
import { resolveUser } from '../../../src/image/config/image-user.ts'
import {
  encodeRunConfig,
  makeRunConfig,
  type ImageConfig,
} from '../../../src/image/config/run-config.ts'
import { directory, file, type Directory } from '../../../src/image/tree/tree.ts'
import { codeOf } from '../../fixtures/code-of.ts'

const image: ImageConfig = {
  entrypoint: ['/app'],
  cmd: ['-v'],
  env: ['A=b'],
  workdir: '',
  user: '',
}
const root = { uid: 0, gid: 0, groups: [] }

function withDatabases(passwd: string, group: string): Directory {
  const entry = (text: string) => file(contentOfBytes(Buffer.from(text)))
  const etc = directory(0o755, [
    ['passwd', entry(passwd)],
    ['group', entry(group)],
  ])
  return directory(0o755, [['etc', etc]])
}

describe('cloister.yaml', () => {
  it('is one line of JSON in a fixed key order', () => {
    const config = makeRunConfig({ ...image, env: ['PATH=/bin'] }, root)
    expect(Buffer.from(encodeRunConfig(config)).toString()).toBe(
      '{"version":1,"entrypoint":["/app"],"cmd":["-v"],"env":["PATH=/bin"],"workdir":"/",' +
        '"user":{"uid":0,"gid":0,"groups":[]}}\n',
    )
  })

  it('names volumes from the root, a directory before those in it, each once', () => {
    const volumes = ['/srv/db/log/', 'srv/db', '/a//b/../b', '/srv/db']
    const config = makeRunConfig({ ...image, volumes }, root)
    expect(Buffer.from(encodeRunConfig(config)).toString()).toContain(
      '"volumes":["/a/b","/srv/db","/srv/db/log"]}\n',
    )
  })

  it('gives a PATH to an image that sets none', () => {
    const { env } = makeRunConfig(image, root)
    expect(env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'A=b',
    ])
  })

  it.each<[string, Partial<ImageConfig>]>([
    ['nothing to run', { entrypoint: [], cmd: [] }],
    ['an argument with a line break', { cmd: ['a\nb'] }],
    ['a variable with a NUL', { env: ['A=\0'] }],
    ['a variable without a value', { env: ['A'] }],
    ['a variable without a name', { env: ['=b'] }],
    ['a relative working directory', { workdir: 'srv' }],
    ['the root as a volume', { volumes: ['/srv/..'] }],
    ['a volume without a name', { volumes: [''] }],
    ['a volume with a line break', { volumes: ['/a\nb'] }],
    ['65 volumes', { volumes: Array.from({ length: 65 }, (_, n) => `/v${String(n)}`) }],
  ])('refuses %s', (_, change) => {
    expect(() => makeRunConfig({ ...image, ...change }, root)).toThrow(
      expect.objectContaining({ code: 'ERR_IMAGE_CONFIG' }),
    )
  })
})

describe('resolveUser', () => {
  const tree = withDatabases(
    'root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:\nbroken:x:one:two\n# comment\n',
    'root:x:0:root\nwheel:x:10:root,app\nlog:x:5:app\napp:x:1001:\n',
  )

  it.each([
    ['', { uid: 0, gid: 0, groups: [0, 10] }],
    ['app', { uid: 1000, gid: 1001, groups: [5, 10] }],
    ['1000', { uid: 1000, gid: 1001, groups: [5, 10] }],
    ['app:log', { uid: 1000, gid: 5, groups: [] }],
    ['app:77', { uid: 1000, gid: 77, groups: [] }],
    ['4242', { uid: 4242, gid: 0, groups: [] }],
    ['4242:4243', { uid: 4242, gid: 4243, groups: [] }],
  ])('resolves %j as Docker does', async (text, expected) => {
    expect(await resolveUser(tree, text)).toEqual(expected)
  })

  it.each(['nobody', 'app:nogroup', 'broken', '4294967295', '-1'])('refuses %s', async (text) => {
    expect(await codeOf(resolveUser(tree, text))).toBe('ERR_IMAGE_USER')
  })

  it('takes numbers in an image without databases', async () => {
    expect(await resolveUser(directory(), '7:8')).toEqual({ uid: 7, gid: 8, groups: [] })
    expect(await codeOf(resolveUser(directory(), 'app'))).toBe('ERR_IMAGE_USER')
  })
})
