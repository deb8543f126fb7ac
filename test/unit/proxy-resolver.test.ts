// Addresses of vsock-proxy's servers while the host's resolver answers, is slow, or fails.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Resolver } from '../../src/proxy/resolver.ts'
import { codeOf } from '../fixtures/code-of.ts'

const HOUR_MS = 3_600_000

/** A host whose names are given, by name: addresses, an error, or nothing at all. */
class Host {
  readonly asked: string[] = []
  names: Readonly<Record<string, readonly string[] | Error | undefined>> = {}

  lookup(name: string): Promise<readonly string[]> {
    this.asked.push(name)
    const found = this.names[name]
    if (found === undefined) return new Promise(() => undefined)
    return found instanceof Error ? Promise.reject(found) : Promise.resolve(found)
  }

  [Symbol.dispose](): void {
    this.asked.push('disposed')
  }
}

let host: Host
let resolver: Resolver

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  host = new Host()
  host.names = { 'a.example': ['2001:db8::1', '192.0.2.1'] }
  resolver = new Resolver(host)
})

afterEach(() => {
  vi.useRealTimers()
})

const resolve = (name = 'a.example'): Promise<readonly string[]> => resolver.resolve(name, 'any')

test('an answer is good for a second, IPv4 first', async () => {
  expect(await resolve()).toEqual(['192.0.2.1', '2001:db8::1'])
  host.names = { 'a.example': ['192.0.2.2'] }
  await vi.advanceTimersByTimeAsync(999)
  expect(await resolver.resolve('a.example', 'ipv6')).toEqual(['2001:db8::1'])
  expect(host.asked).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(await resolve()).toEqual(['192.0.2.2'])
  expect(host.asked).toHaveLength(2)
})

test('questions at the same time are one', async () => {
  await Promise.all([resolve(), resolve(), resolve()])
  expect(host.asked).toEqual(['a.example'])
})

test('the last addresses serve for an hour while the resolver fails, and no longer', async () => {
  await resolve()
  host.names = { 'a.example': new Error('no answer') }
  await vi.advanceTimersByTimeAsync(HOUR_MS - 1)
  expect(await resolve()).toEqual(['192.0.2.1', '2001:db8::1'])
  await vi.advanceTimersByTimeAsync(1)
  expect(await codeOf(resolve())).toBe('ERR_PROXY_RESOLVE')
  expect(host.asked).toHaveLength(3)
  host.names = { 'a.example': ['192.0.2.3'] }
  expect(await resolve()).toEqual(['192.0.2.3'])
})

test('a resolver that does not answer is given up, and holds up no other name', async () => {
  await resolve()
  await vi.advanceTimersByTimeAsync(2000)
  host.names = { 'b.example': ['192.0.2.9'] }
  const [known, unknown] = [resolve(), codeOf(resolve('c.example'))]
  expect(await resolve('b.example')).toEqual(['192.0.2.9'])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await known).toEqual(['192.0.2.1', '2001:db8::1'])
  expect(await unknown).toBe('ERR_PROXY_RESOLVE')
})

test('an address is asked of nobody', async () => {
  expect(await resolve('192.0.2.7')).toEqual(['192.0.2.7'])
  expect(await codeOf(resolver.resolve('192.0.2.7', 'ipv6'))).toBe('ERR_PROXY_RESOLVE')
  expect(host.asked).toEqual([])
})
