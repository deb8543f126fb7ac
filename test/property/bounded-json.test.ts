import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { DOCUMENT_BOUNDS, parseBoundedJson } from '../../src/bounded-json.ts'
import { canonicalReference, parseDockerReference } from '../../src/image/oci/docker-reference.ts'

const bounds = { ...DOCUMENT_BOUNDS, code: 'ERR_EIF_METADATA', name: 'the text' } as const

function parse(text: string, limits: Partial<typeof bounds | { maxDepth: number }> = {}): unknown {
  return parseBoundedJson(Buffer.from(text), { ...bounds, ...limits })
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

describe('parseBoundedJson', () => {
  it('gives what JSON.parse gives within its bounds, and counts depth as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(4), (value, space) => {
        const text = JSON.stringify(value, null, space)
        expect(parse(text)).toEqual(JSON.parse(text))
        const depth = depthOf(JSON.parse(text))
        expect(parse(text, { maxDepth: depth })).toEqual(JSON.parse(text))
        if (depth > 0) expect(() => parse(text, { maxDepth: depth - 1 })).toThrow('deeply')
      }),
    )
  })

  it('is not led astray by brackets, quotes and backslashes in texts', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('[', ']', '{', '}', '"', '\\', ',', ':')), (parts) => {
        const text = JSON.stringify([parts.join('')])
        expect(parse(text, { maxDepth: 1 })).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses anything else with its code', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parse(text)
        } catch (error) {
          expect((error as { code?: unknown }).code).toBe('ERR_EIF_METADATA')
        }
      }),
    )
  })
})

describe('the name of an image', () => {
  it('that is completed is complete', () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?$/)
    const name = fc
      .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), fc.option(word))
      .map(([path, tag]) => path.join('/') + (tag === null ? '' : `:${tag}`))
    fc.assert(
      fc.property(name, (text) => {
        const reference = parseDockerReference(text)
        if (reference === undefined) throw new Error(text)
        const complete = canonicalReference(reference)
        const again = parseDockerReference(complete)
        expect(again && canonicalReference(again)).toBe(complete)
      }),
    )
  })
})
