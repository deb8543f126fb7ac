// Which keys a recipient may bring: three sizes in their one encoding, and nothing else.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseRecipientKey } from '../../../src/kms/recipient/rsa-key.ts'

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const rsa = (modulusLength: number, publicExponent = 65_537): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey

describe('the key of a recipient', () => {
  test.each([2048, 3072, 4096])('is RSA with %d bits', (bits) => {
    const key = rsa(bits)
    expect(parseRecipientKey(spkiOf(key))?.equals(key)).toBe(true)
  })

  test('is of no other size, exponent, algorithm or encoding', () => {
    const good = spkiOf(rsa(2048))
    const wrong = [
      ...[new Uint8Array(), good.subarray(0, -1), Buffer.concat([good, Buffer.of(0)])],
      ...[spkiOf(rsa(2056)), spkiOf(rsa(2048, 3))],
      spkiOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey),
      spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
    ]
    for (const spki of wrong) expect(parseRecipientKey(spki)).toBeUndefined()
    const isFixed = (at: number): boolean => at < 33 || at >= good.length - 5
    for (const at of good.keys()) {
      if (!isFixed(at)) continue
      const changed = Buffer.from(good)
      changed.writeUInt8((good[at] ?? 0) ^ 1, at)
      expect(parseRecipientKey(changed), `byte ${String(at)}`).toBeUndefined()
    }
  })
})
