// RFC 6979, appendix A.2.5 to A.2.7: the signatures of "sample" and "test" with the hash that an image is
// signed with on each curve.

import { createHash, createPrivateKey, createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'

import { deterministicKey } from '../../../src/eif/index.ts'
import { signingAlgorithmOf } from '../../../src/eif/signing-algorithm.ts'

interface Curve {
  readonly name: string
  /** PKCS#8 up to the private value, in hexadecimal. */
  readonly prefix: string
  readonly privateKey: string
  readonly signatures: Readonly<Record<string, string>>
}

const curves: readonly Curve[] = [
  {
    name: 'P-256',
    prefix: '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420',
    privateKey: 'C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721',
    signatures: {
      sample:
        'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716' +
        'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8',
      test:
        'F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367' +
        '019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083',
    },
  },
  {
    name: 'P-384',
    prefix: '304e020100301006072a8648ce3d020106052b81040022043730350201010430',
    privateKey:
      '6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D8' +
      '96D5724E4C70A825F872C9EA60D2EDF5',
    signatures: {
      sample:
        '94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C' +
        '81A648152E44ACF96E36DD1E80FABE46' +
        '99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94F' +
        'A329C145786E679E7B82C71A38628AC8',
      test:
        '8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB' +
        '0542A7F0812998DA8F1DD3CA3CF023DB' +
        'DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E0' +
        '6A739F040649A667BF3B828246BAA5A5',
    },
  },
  {
    name: 'P-521',
    prefix: '3060020100301006072a8648ce3d020106052b81040023044930470201010442',
    privateKey:
      '00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75' +
      'CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B8' +
      '3538',
    signatures: {
      sample:
        '00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F' +
        '174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E3' +
        '77FA' +
        '00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF' +
        '282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4' +
        'A67A',
      test:
        '013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F1' +
        '0CDB93482FDCC54EDCEE91ECA4166B2A7C6265EF0CE2BD7051B7CEF945BABD47' +
        'EE6D' +
        '01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E7' +
        '8A19CA69EFF5C57400E3B3A0AD66CE0978214D13BAF4E9AC60752F7B155E2DE4' +
        'DCE3',
    },
  },
]

describe.each(curves)('a key on $name', ({ prefix, privateKey, signatures }) => {
  const der = Buffer.from(prefix + privateKey, 'hex')
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const algorithm = signingAlgorithmOf(key)
  if (algorithm === undefined) throw new Error('not a curve of images')

  it.each(Object.entries(signatures))('signs "%s" as RFC 6979 does', async (message, expected) => {
    const digest = createHash(algorithm.hash).update(message).digest()
    const signature = await deterministicKey(key).sign(digest, algorithm)
    expect(Buffer.from(signature).toString('hex').toUpperCase()).toBe(expected)
    const publicKey = { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' } as const
    expect(verify(algorithm.hash, Buffer.from(message), publicKey, signature)).toBe(true)
  })
})
