// The gate: a fresh challenge, a document that answers it, one use.

import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { fromBase64, toBase64Url } from '../src/base64.ts'
import {
  attestedExpress,
  attestedHandler,
  attestedHono,
  createGate,
  type AttestationGate,
  type Refusal,
} from '../src/http/index.ts'
import { createVerifier, type Attestation, type Verifier } from '../src/index.ts'
import { makeChain, makeDocument, MODULE_ID, NOW_MS, type Chain } from './issuer/document.ts'

let chain: Chain
let verifier: Verifier
let gate: AttestationGate
let nowMs: number

beforeAll(async () => {
  chain = await makeChain()
  verifier = createVerifier({ roots: [chain.root.certificate], at: new Date(NOW_MS) })
})

beforeEach(() => {
  nowMs = NOW_MS
  gate = createGate(verifier, { now: () => nowMs, maxUsed: 2 })
})

async function refused(document?: string): Promise<Refusal> {
  const { refusal } = await gate.admit(document)
  if (!refusal) throw new Error('the request was admitted')
  return refusal
}

/** The nonce that the gate hands out with a refusal. */
async function challenge(): Promise<Uint8Array> {
  const header = (await refused()).headers['www-authenticate'] ?? ''
  const nonce = /^Attestation nonce="([^"]+)"$/.exec(header)?.[1]
  return fromBase64(nonce ?? '') ?? new Uint8Array()
}

const answerTo = async (nonce: Uint8Array): Promise<string> =>
  toBase64Url(await makeDocument(chain, { nonce }))

describe('createGate', () => {
  test('asks for a document with a fresh nonce', async () => {
    const refusal = await refused()
    expect(refusal.status).toBe(401)
    expect(refusal.body).toBe('{"error":"ERR_HTTP_DOCUMENT_MISSING"}')
    expect(await challenge()).not.toEqual(await challenge())
  })

  test('admits a document with that nonce once', async () => {
    const document = await answerTo(await challenge())
    expect((await gate.admit(document)).attestation?.moduleId).toBe(MODULE_ID)
    const again = await refused(document)
    expect([again.status, again.error.code]).toEqual([403, 'ERR_HTTP_CHALLENGE'])
  })

  test('admits one of many requests with the same document at the same time', async () => {
    const document = await answerTo(await challenge())
    const admissions = await Promise.all(Array.from({ length: 8 }, () => gate.admit(document)))
    expect(admissions.filter(({ attestation }) => attestation)).toHaveLength(1)
  })

  test('refuses a nonce of its own making, of another gate, and none at all', async () => {
    const other = createGate(verifier, { now: () => nowMs })
    const { refusal } = await other.admit(undefined)
    const foreign = /"(.+)"/.exec(refusal?.headers['www-authenticate'] ?? '')?.[1] ?? ''
    const nonces = [new Uint8Array(56), fromBase64(foreign) ?? new Uint8Array(), new Uint8Array()]
    for (const nonce of nonces) {
      expect((await refused(await answerTo(nonce))).error.code).toBe('ERR_HTTP_CHALLENGE')
    }
    const without = toBase64Url(await makeDocument(chain))
    expect((await refused(without)).error.code).toBe('ERR_HTTP_CHALLENGE')
  })

  test('refuses an expired nonce', async () => {
    const document = await answerTo(await challenge())
    nowMs += 60_001
    expect((await refused(document)).error.code).toBe('ERR_HTTP_CHALLENGE')
  })

  test('admits a document once, also when its nonce expires meanwhile', async () => {
    const clock = { nowMs: NOW_MS, tickMs: 0 }
    const ticking = createGate(verifier, { now: () => (clock.nowMs += clock.tickMs) })
    const { refusal } = await ticking.admit(undefined)
    const nonce = /"(.+)"/.exec(refusal?.headers['www-authenticate'] ?? '')?.[1] ?? ''
    const document = await answerTo(fromBase64(nonce) ?? new Uint8Array())
    expect((await ticking.admit(document)).attestation).toBeDefined()
    clock.nowMs += 59_999
    clock.tickMs = 1
    expect((await ticking.admit(document)).refusal?.error.code).toBe('ERR_HTTP_CHALLENGE')
  })

  test('is not misled by a wall clock that is set forward and back', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
    try {
      gate = createGate(verifier)
      const document = await answerTo(await challenge())
      expect((await gate.admit(document)).attestation).toBeDefined()
      vi.setSystemTime(NOW_MS + 3_600_000)
      expect((await gate.admit(await answerTo(await challenge()))).attestation).toBeDefined()
      vi.setSystemTime(NOW_MS)
      expect((await refused(document)).error.code).toBe('ERR_HTTP_CHALLENGE')
    } finally {
      vi.useRealTimers()
    }
  })

  test('refuses options that would let nonces live for ever', () => {
    for (const challengeLifetimeMs of ['60000', Number.NaN, Infinity, 0, -1, 0.5]) {
      const options = { challengeLifetimeMs: challengeLifetimeMs as number }
      expect(() => createGate(verifier, options)).toThrow(RangeError)
    }
    expect(() => createGate(verifier, { maxUsed: 0 })).toThrow(RangeError)
    expect(() => createGate(verifier, { lifetimeMs: 1 } as object)).toThrow(TypeError)
  })

  test('does not use up a nonce on a forged document', async () => {
    const nonce = await challenge()
    const forged = toBase64Url(await makeDocument(await makeChain(), { nonce }))
    expect((await refused(forged)).error.code).toBe('ERR_CHAIN_SIGNATURE')
    expect((await gate.admit(await answerTo(nonce))).attestation).toBeDefined()
  })

  test('refuses when it cannot remember more, and goes on when old ones expire', async () => {
    for (let i = 0; i < 2; i++) await gate.admit(await answerTo(await challenge()))
    const refusal = await refused(await answerTo(await challenge()))
    expect([refusal.status, refusal.error.code]).toEqual([503, 'ERR_HTTP_OVERLOADED'])
    nowMs += 60_001
    expect((await gate.admit(await answerTo(await challenge()))).attestation).toBeDefined()
  })

  test('refuses what is not base64', async () => {
    expect((await refused('%%%')).error.code).toBe('ERR_HTTP_DOCUMENT_MISSING')
  })
})

describe('middleware', () => {
  function response() {
    const written = { status: 0, headers: {} as Record<string, string>, body: '' }
    return {
      written,
      writeHead: (status: number, headers: Record<string, string>) =>
        Object.assign(written, { status, headers }),
      end: (body: string) => Object.assign(written, { body }),
    }
  }

  test('of http calls the handler with the attestation, or answers', async () => {
    const seen: string[] = []
    const handler = attestedHandler(gate, (_request, _response, { moduleId }) => {
      seen.push(moduleId)
    })
    const refusing = response()
    await handler({ headers: {} }, refusing)
    expect(refusing.written.status).toBe(401)
    const document = await answerTo(await challenge())
    await handler({ headers: { 'attestation-document': document } }, response())
    expect(seen).toEqual([MODULE_ID])
  })

  test('of Express sets request.attestation and calls next, or answers', async () => {
    const middleware = attestedExpress(gate)
    const calls: unknown[] = []
    const refusing = response()
    await middleware({ headers: {} }, refusing, (error) => calls.push(error))
    expect([refusing.written.status, calls]).toEqual([401, []])
    const document = await answerTo(await challenge())
    const request: { headers: Record<string, string>; attestation?: Attestation } = {
      headers: { 'attestation-document': document },
    }
    await middleware(request, response(), (error) => calls.push(error))
    expect(request.attestation?.moduleId).toBe(MODULE_ID)
    expect(calls).toEqual([undefined])
  })

  test('of Hono sets the variable and calls next, or returns a response', async () => {
    const middleware = attestedHono(gate)
    const variables: Attestation[] = []
    const context = (document?: string) => ({
      req: { header: () => document },
      set: (_key: 'attestation', value: Attestation) => void variables.push(value),
    })
    const next = () => Promise.resolve()
    expect((await middleware(context(), next))?.status).toBe(401)
    const document = await answerTo(await challenge())
    expect(await middleware(context(document), next)).toBeUndefined()
    expect(variables.map(({ moduleId }) => moduleId)).toEqual([MODULE_ID])
  })
})
