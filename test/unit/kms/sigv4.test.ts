// Signatures: AWS's own signer as the oracle, and requests that are almost right.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseCredentials } from '../../../src/kms/auth/credentials-file.ts'
import { authenticate, type SignedRequest } from '../../../src/kms/auth/sigv4.ts'
import { NOW_MS, presigned, signed } from '../../fixtures/kms/signed-request.ts'
import { ARNS, keysOf, principals, REGION } from '../../fixtures/kms/running-broker.ts'

const credentials = parseCredentials(principals())

const check = (request: SignedRequest, nowMs = NOW_MS): string =>
  authenticate(request, { credentials, region: REGION, nowMs }).arn

function refusal(request: SignedRequest, nowMs = NOW_MS): string {
  try {
    return `accepted ${check(request, nowMs)}`
  } catch (error) {
    return (error as { type?: string }).type ?? String(error)
  }
}

describe('a request signed by AWS’s signer', () => {
  test('is its signer’s, whatever the body and the other headers are', async () => {
    const name = fc.stringMatching(/^x-[a-z]{1,8}(-[a-z0-9]{1,8})?$/)
    const value = fc.stringMatching(/^[ -~]{0,24}$/)
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, value), fc.string(), async (headers, body) => {
        expect(check(await signed({ headers, body }))).toBe(ARNS.app)
      }),
      { numRuns: 200 },
    )
  })

  test('is refused when any part of it is changed', async () => {
    const request = await signed({ headers: { 'x-other': 'value' } })
    const without = (wanted: string): SignedRequest => {
      const pairs = request.rawHeaders.flatMap((one, at, all) =>
        at % 2 === 0 && one.toLowerCase() !== wanted ? [one, all[at + 1] ?? ''] : [],
      )
      return { ...request, rawHeaders: pairs }
    }
    const replace = (from: string | RegExp, to: string): SignedRequest => ({
      ...request,
      rawHeaders: request.rawHeaders.map((text) => text.replace(from, to)),
    })
    expect(check(request)).toBe(ARNS.app)
    const altered = { ...request, body: Buffer.from('{ }') }
    expect(refusal(altered)).toBe('InvalidSignatureException')
    expect(refusal(replace('TrentService.ListKeys', 'TrentService.CreateKey'))).toBe(
      'InvalidSignatureException',
    )
    expect(refusal(replace(/^value$/, 'VALUE'))).toBe('InvalidSignatureException')
    expect(refusal(replace(/Signature=./, 'Signature=g'))).toBe('IncompleteSignatureException')
    expect(refusal(replace(/Signature=../, 'Signature=00'))).toBe('InvalidSignatureException')
    expect(refusal(replace(';x-other', ''))).toBe('InvalidSignatureException')
    expect(refusal(replace('host;', ''))).toBe('IncompleteSignatureException')
    expect(refusal(replace('x-amz-target;', ''))).toBe('IncompleteSignatureException')
    expect(refusal(replace('x-amz-target;x-other', 'x-other;x-amz-target'))).toBe(
      'IncompleteSignatureException',
    )
    expect(refusal(replace('AWS4-HMAC-SHA256', 'AWS4-HMAC-MD5'))).toBe(
      'IncompleteSignatureException',
    )
    expect(refusal(without('authorization'))).toBe('MissingAuthenticationTokenException')
    expect(refusal(without('x-other'))).toBe('IncompleteSignatureException')
    const twice = { ...request, rawHeaders: [...request.rawHeaders, 'X-Other', 'value'] }
    expect(refusal(twice)).toBe('IncompleteSignatureException')
    const token = [...request.rawHeaders, 'x-amz-security-token', 'theirs']
    expect(refusal({ ...request, rawHeaders: token })).toBe('IncompleteSignatureException')
    expect(refusal({ ...request, url: '/?a=b' })).toBe('IncompleteSignatureException')
    expect(refusal({ ...request, method: 'GET' })).toBe('InvalidSignatureException')
  })

  test('counts for five minutes around its time', async () => {
    const request = await signed()
    const minute = 60_000
    for (const skew of [-5 * minute, 0, 5 * minute])
      expect(check(request, NOW_MS + skew)).toBe(ARNS.app)
    for (const skew of [-5 * minute - 1, 5 * minute + 1])
      expect(refusal(request, NOW_MS + skew)).toBe('InvalidSignatureException')
    const otherDay = await signed({ atMs: NOW_MS })
    const moved = otherDay.rawHeaders.map((text) => text.replace('/20261126/', '/20261125/'))
    expect(refusal({ ...otherDay, rawHeaders: moved })).toBe('InvalidSignatureException')
  })

  test('counts for this region and service, and known keys only', async () => {
    expect(refusal(await signed({ region: 'us-east-1' }))).toBe('InvalidSignatureException')
    expect(refusal(await signed({ service: 's3' }))).toBe('InvalidSignatureException')
    const unknown = { ...keysOf('app'), accessKeyId: 'AKIAUNKNOWN000000000' }
    expect(refusal(await signed({ keys: unknown }))).toBe('UnrecognizedClientException')
    const wrong = { ...keysOf('app'), secretAccessKey: keysOf('other').secretAccessKey }
    expect(refusal(await signed({ keys: wrong }))).toBe('InvalidSignatureException')
    expect(refusal(await signed({ keys: { ...keysOf('app'), sessionToken: 'x' } }))).toBe(
      'UnrecognizedClientException',
    )
  })

  test('with temporary credentials carries their token, until they expire', async () => {
    const temporary = { ...keysOf('app'), sessionToken: 'the-token' }
    const expiresAt = new Date(NOW_MS + 60_000).toISOString()
    const arn = 'arn:aws:sts::111122223333:assumed-role/enclave/i-0123'
    const file = { version: 1, principals: [{ arn, accessKeys: [{ ...temporary, expiresAt }] }] }
    const known = { credentials: parseCredentials(file), region: REGION }
    const request = await signed({ keys: temporary })
    expect(authenticate(request, { ...known, nowMs: NOW_MS }).arn).toBe(arn)
    const late = () => authenticate(request, { ...known, nowMs: NOW_MS + 60_000 })
    expect(late).toThrow(expect.objectContaining({ type: 'ExpiredTokenException' }) as Error)
    const bare = await signed({ keys: keysOf('app') })
    expect(() => authenticate(bare, { ...known, nowMs: NOW_MS })).toThrow(
      expect.objectContaining({ type: 'UnrecognizedClientException' }) as Error,
    )
  })
})

test('headers of noise are refused with one of AWS’s errors', () => {
  const noise = fc.oneof(
    fc.string(),
    fc.string().map((text) => `AWS4-HMAC-SHA256 ${text}`),
  )
  fc.assert(
    fc.property(noise, fc.string(), (authorization, time) => {
      const rawHeaders = ['Authorization', authorization, 'X-Amz-Date', time, 'Host', 'a']
      const type = refusal({ method: 'POST', url: '/', rawHeaders, body: new Uint8Array() })
      expect(type).toMatch(/^(IncompleteSignature|InvalidSignature)Exception$/)
    }),
  )
})

describe('a presigned request', () => {
  const HOUR_MS = 3600_000

  test.each([true, false])(
    'is its signer’s until it expires (target in a header: %s)',
    async (targetInHeader) => {
      const request = await presigned({ targetInHeader })
      expect(refusal(request)).toBe(`accepted ${ARNS.app}`)
      expect(refusal(request, NOW_MS + HOUR_MS - 1000)).toBe(`accepted ${ARNS.app}`)
      expect(refusal(request, NOW_MS + HOUR_MS + 1000)).toBe('InvalidSignatureException')
      expect(refusal(request, NOW_MS - 6 * 60_000)).toBe('InvalidSignatureException')
    },
  )

  test('is refused when a part of it is changed, missing, repeated or unknown', async () => {
    const request = await presigned()
    const changed = (from: string | RegExp, to: string): string =>
      refusal({ ...request, url: request.url.replace(from, to) })
    expect(refusal({ ...request, body: Buffer.from('{ }') })).toBe('InvalidSignatureException')
    expect(changed('ListKeys', 'CreateKey')).toBe('InvalidSignatureException')
    expect(changed('Expires=3600', 'Expires=604800')).toBe('InvalidSignatureException')
    expect(changed('Expires=3600', 'Expires=604801')).toBe('IncompleteSignatureException')
    expect(changed(/Signature=../, 'Signature=00')).toBe('InvalidSignatureException')
    expect(changed(/X-Amz-Date=[^&]*&/, '')).toBe('IncompleteSignatureException')
    expect(changed(/$/, '&X-Amz-Expires=3600')).toBe('IncompleteSignatureException')
    expect(changed(/$/, '&Action=x')).toBe('IncompleteSignatureException')
    expect(changed(/$/, '&%FF')).toBe('IncompleteSignatureException')
    const headers = ['authorization', 'AWS4-HMAC-SHA256 x', ...request.rawHeaders]
    expect(refusal({ ...request, rawHeaders: headers })).toBe('IncompleteSignatureException')
    const target = ['x-amz-target', 'TrentService.Decrypt', ...request.rawHeaders]
    expect(refusal({ ...request, rawHeaders: target })).toBe('IncompleteSignatureException')
  })

  test('needs the session token of temporary keys, signed', async () => {
    const temporary = { ...keysOf('app'), sessionToken: 'token/of+app==' }
    const file = principals() as { principals: { accessKeys: object[] }[] }
    const [first] = file.principals
    const parsed = parseCredentials({
      ...file,
      principals: [{ ...first, accessKeys: [temporary] }],
    })
    const accepted = (request: SignedRequest): string =>
      authenticate(request, { credentials: parsed, region: REGION, nowMs: NOW_MS }).arn
    const request = await presigned({ keys: temporary })
    expect(accepted(request)).toBe(ARNS.root)
    const without = request.url.replace(/&?X-Amz-Security-Token=[^&]*/, '')
    expect(() => accepted({ ...request, url: without })).toThrow()
  })
})

test.each(['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'UNSIGNED-PAYLOAD'])(
  'a body that is %s is refused',
  async (payload) => {
    const request = await signed({ headers: { 'x-amz-content-sha256': payload } })
    expect(refusal(request)).toBe('InvalidSignatureException')
  },
)
