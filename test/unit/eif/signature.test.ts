import { describe, expect, it } from 'vitest'

import { encodeCbor, type CborInput } from '../../../src/cbor.ts'
import {
  checkCertificateDates,
  makeSigner,
  measureBytes,
  parseSigningCertificate,
  readEif,
  signEif,
  type EifSigner,
} from '../../../src/eif/index.ts'
import { sourceOfBytes } from '../../../src/files/index.ts'
import { signPcr0 } from '../../../src/eif/cose-signature.ts'
import {
  decodeSignatureSection,
  encodeSignatureSection,
} from '../../../src/eif/signature-section.ts'
import { openPemKey } from '../../../src/signing/pem-key.ts'
import { golden, goldenBytes, hex, mendCrc, patch, readCode } from '../../fixtures/eif/golden.ts'
import {
  makeKeyAndCertificate,
  type KeyAndCertificate,
} from '../../fixtures/eif/key-and-certificate.ts'

function signerOf({ certificate, key }: KeyAndCertificate): EifSigner {
  return makeSigner(certificate, openPemKey(key, {}))
}

async function sign(bytes: Uint8Array, signer: EifSigner): Promise<Uint8Array> {
  let signed = bytes.slice()
  await signEif(
    sourceOfBytes(bytes),
    {
      write: (offset, chunk) => {
        const longer = new Uint8Array(Math.max(signed.length, offset + chunk.length))
        longer.set(signed)
        longer.set(chunk, offset)
        signed = longer
        return Promise.resolve()
      },
    },
    signer,
  )
  return signed
}

async function makeSignedGolden() {
  const pair = makeKeyAndCertificate('secp384r1')
  return { ...pair, signed: await sign(goldenBytes, signerOf(pair)) }
}

/** Replaces the signature section of the signed golden image. */
function withSection(signed: Uint8Array, section: Uint8Array): Uint8Array {
  const start = goldenBytes.length + 12
  const bytes = new Uint8Array(start + section.length)
  bytes.set(signed.subarray(0, start))
  bytes.set(section, start)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0x11c + 8 * golden.sections.length, BigInt(section.length))
  view.setBigUint64(start - 8, BigInt(section.length))
  return mendCrc(bytes)
}

describe('a signed image', () => {
  it.each(['prime256v1', 'secp384r1', 'secp521r1'])('of a %s key is verified', async (curve) => {
    const { certificate, key } = makeKeyAndCertificate(curve)
    const signed = await sign(goldenBytes, signerOf({ certificate, key }))
    const eif = await readEif(sourceOfBytes(signed))
    const { der } = parseSigningCertificate(certificate)
    expect(eif.signingCertificate?.der).toEqual(der)
    expect(eif.measurements.pcr8).toEqual(measureBytes(der))
    expect(hex(eif.measurements.pcr0.pcr)).toBe(golden.measurements.PCR0)
    expect(eif.sections.at(-1)?.type).toBe('signature')
  })

  it('has the bytes that AWS and QEMU read: arrays of integers, certificate first', async () => {
    const { signed } = await makeSignedGolden()
    const section = signed.subarray(goldenBytes.length + 12)
    const text = Buffer.from(section).toString('hex')
    const name = Buffer.from('signing_certificate').toString('hex')
    expect(text.startsWith(`81a273${name}99`)).toBe(true)
    expect(section.length).toBeLessThan(32768)
    expect(encodeSignatureSection(decodeSignatureSection(section))).toEqual(new Uint8Array(section))
    const { signature } = decodeSignatureSection(section)
    const register = Buffer.from('register_index').toString('hex')
    expect(hex(signature).startsWith(`8444a1013822a0`)).toBe(true)
    expect(hex(signature)).toContain(`a26e${register}00`)
    expect(signature.at(-97)).toBe(96)
  })

  it('is refused with any bit of its signature flipped', async () => {
    const { signed } = await makeSignedGolden()
    const { certificatePem, signature } = decodeSignatureSection(
      signed.subarray(goldenBytes.length + 12),
    )
    for (let bit = 0; bit < signature.length * 8; bit += 3) {
      const flipped = patch(signature, bit >> 3, [(signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))])
      const section = encodeSignatureSection({ certificatePem, signature: flipped })
      expect(await readCode(withSection(signed, section)), `bit ${String(bit)}`).toMatch(
        /^ERR_EIF_SIGNATURE_(FORMAT|INVALID)$/,
      )
    }
  })

  it('is refused when any other part is changed', async () => {
    const { signed } = await makeSignedGolden()
    for (const { dataOffset, name } of golden.sections) {
      if (name === 'metadata') continue
      const flipped = patch(signed, dataOffset, [(signed[dataOffset] ?? 0) ^ 1])
      expect(await readCode(mendCrc(flipped)), name).toBe('ERR_EIF_SIGNATURE_INVALID')
    }
  })

  it('is refused with the signature of another image, key or register', async () => {
    const { certificate, key, signed } = await makeSignedGolden()
    const other = makeKeyAndCertificate('secp384r1')
    const pcr0 = Buffer.from(golden.measurements.PCR0, 'hex')
    const ours = signerOf({ certificate, key })
    const theirs = signerOf(other)
    const forge = (signature: Uint8Array) =>
      readCode(
        withSection(signed, encodeSignatureSection({ certificatePem: certificate, signature })),
      )
    expect(await forge(await signPcr0(pcr0, ours))).toBe('accepted')
    expect(await forge(await signPcr0(pcr0, theirs))).toBe('ERR_EIF_SIGNATURE_INVALID')
    expect(await forge(await signPcr0(new Uint8Array(48), ours))).toBe('ERR_EIF_SIGNATURE_INVALID')
    expect(await forge(new Uint8Array())).toBe('ERR_EIF_SIGNATURE_FORMAT')
  })

  it('is refused when its section has any other form', async () => {
    const { certificate, signed } = await makeSignedGolden()
    const { certificatePem, signature } = decodeSignatureSection(
      signed.subarray(goldenBytes.length + 12),
    )
    const integers = (bytes: Uint8Array) => [...bytes]
    const map = (entries: [string, CborInput][]) => new Map(entries)
    const good: [string, CborInput][] = [
      ['signing_certificate', integers(certificatePem)],
      ['signature', integers(signature)],
    ]
    const { der } = parseSigningCertificate(certificate)
    const cases: [string, CborInput, string][] = [
      ['a bare map', map(good), 'ERR_EIF_SIGNATURE_FORMAT'],
      ['no signature', [], 'ERR_EIF_SIGNATURE_FORMAT'],
      ['two signatures', [map(good), map(good)], 'ERR_EIF_SIGNATURE_FORMAT'],
      ['the signature first', [map(good.toReversed())], 'ERR_EIF_SIGNATURE_FORMAT'],
      ['a third key', [map([...good, ['x', 1]])], 'ERR_EIF_SIGNATURE_FORMAT'],
      [
        'an integer of 256',
        [
          map([
            ['signing_certificate', [256]],
            ['signature', []],
          ]),
        ],
        'ERR_EIF_SIGNATURE_FORMAT',
      ],
      [
        'a byte string',
        [
          map([
            ['signing_certificate', certificatePem],
            ['signature', signature],
          ]),
        ],
        'ERR_EIF_SIGNATURE_FORMAT',
      ],
      [
        'a DER certificate',
        [
          map([
            ['signing_certificate', integers(der)],
            ['signature', integers(signature)],
          ]),
        ],
        'ERR_EIF_CERTIFICATE',
      ],
    ]
    for (const [name, value, code] of cases) {
      expect(await readCode(withSection(signed, encodeCbor(value))), name).toBe(code)
    }
    expect(await readCode(withSection(signed, Uint8Array.of(1, 2, 3)))).toBe(
      'ERR_EIF_SIGNATURE_FORMAT',
    )
  })

  it('cannot be signed again, nor with the key of another certificate', async () => {
    const { certificate, key, signed } = await makeSignedGolden()
    const other = makeKeyAndCertificate('secp384r1')
    await expect(sign(signed, signerOf({ certificate, key }))).rejects.toMatchObject({
      code: 'ERR_EIF_SIGNING',
    })
    const coded = (code: string) => expect.objectContaining({ code }) as Error
    const pair = (certificate: Buffer, key: Buffer) => () => signerOf({ certificate, key })
    expect(pair(certificate, other.key)).toThrow(coded('ERR_EIF_SIGNING'))
    expect(pair(certificate, certificate)).toThrow(coded('ERR_SIGNING_KEY'))
    expect(pair(key, key)).toThrow(coded('ERR_EIF_CERTIFICATE'))
  })

  it('has a certificate that is good from its first to its last second only', async () => {
    const { certificate } = await makeSignedGolden()
    const parsed = parseSigningCertificate(certificate)
    const { notBefore, notAfter } = parsed
    const at = (date: Date, shiftMs: number) => () => {
      checkCertificateDates(parsed, new Date(date.getTime() + shiftMs))
    }
    const expired = expect.objectContaining({ code: 'ERR_EIF_CERTIFICATE_DATES' }) as Error
    expect(at(notBefore, 0)).not.toThrow()
    expect(at(notAfter, 0)).not.toThrow()
    expect(at(notBefore, -1)).toThrow(expired)
    expect(at(notAfter, 1)).toThrow(expired)
  })
})
