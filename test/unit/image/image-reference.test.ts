import { describe, expect, it } from 'vitest'

import {
  canonicalReference,
  parseDockerReference,
} from '../../../src/image/oci/docker-reference.ts'
import { parseImageReference } from '../../../src/image/sources/image-reference.ts'
import { codeOf } from '../../fixtures/code-of.ts'

const parse = (text: string): Promise<unknown> =>
  Promise.resolve().then(() => parseImageReference(text))

describe('parseImageReference', () => {
  it.each([
    ['oci:DIR:alpine:3.19', { transport: 'oci', path: 'DIR', tag: 'alpine:3.19' }],
    ['oci:/a/b:localhost/foo:latest', { path: '/a/b', tag: 'localhost/foo:latest' }],
    ['oci:DIR', { transport: 'oci', path: 'DIR' }],
    ['oci-archive:a.tar:v1', { transport: 'oci-archive', path: 'a.tar', tag: 'v1' }],
    ['docker-archive:a.tar:app:v1', { transport: 'docker-archive', path: 'a.tar', tag: 'app:v1' }],
    ['dir:./root:fs', { transport: 'dir', path: './root:fs' }],
  ])('splits %s as skopeo does', (text, expected) => {
    expect(parseImageReference(text)).toMatchObject(expected)
  })

  it.each([
    ['busybox', 'docker', 'docker.io/library/busybox:latest'],
    ['docker://localhost:5000/a/b:v1', 'docker', 'localhost:5000/a/b:v1'],
    ['app:1.2', 'docker', 'docker.io/library/app:1.2'],
    ['index.docker.io/user/app', 'docker', 'docker.io/user/app:latest'],
    ['docker-daemon:app', 'docker-daemon', 'docker.io/library/app:latest'],
    [`ghcr.io/x/y@sha256:${'0'.repeat(64)}`, 'docker', `ghcr.io/x/y@sha256:${'0'.repeat(64)}`],
  ])('completes %s as Docker does', (text, transport, name) => {
    const reference = parseImageReference(text)
    expect(reference.transport).toBe(transport)
    expect('image' in reference && canonicalReference(reference.image)).toBe(name)
  })

  it.each([
    'oci:',
    'oci:DIR:',
    'dir:',
    'docker://',
    'containers-storage:busybox',
    'https://example.com/image',
    './image.tar',
    '/srv/layout',
    '--help',
    'UPPER',
    'a b',
    'a:b:c',
    'a'.repeat(600),
  ])('refuses %s', async (text) => {
    expect(await codeOf(parse(text))).toBe('ERR_IMAGE_REFERENCE')
  })

  it('takes no time over a name that is made to cost it', () => {
    expect(parseDockerReference(`${'a-'.repeat(250)}!`)).toBeUndefined()
  })
})
