// The console in a real browser, by keyboard and by the roles that a screen reader has; and what it refuses.

import { request } from 'node:http'
import { writeFileSync } from 'node:fs'
import { CreateAliasCommand, CreateKeyCommand, EncryptCommand } from '@aws-sdk/client-kms'
import axe, { type AxeResults } from 'axe-core'
import { chromium, type Browser, type Page } from 'playwright'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { IMAGE, measured, policyFor } from '../../fixtures/kms/broker-suite.ts'
import { ARNS, RunningBroker } from '../../fixtures/kms/running-broker.ts'

const TOKEN = 'a token of these tests'
let broker: RunningBroker
let browser: Browser
let page: Page
let keyId = ''

beforeAll(async () => {
  broker = await RunningBroker.start()
  writeFileSync(broker.path('token'), TOKEN, { mode: 0o600 })
  await broker.restart({ console: { port: 0, tokenFile: broker.path('token') } })
  const client = broker.client('root')
  const { KeyMetadata } = await client.send(
    new CreateKeyCommand({ Policy: policyFor(measured), Description: '<b>not markup</b>' }),
  )
  keyId = KeyMetadata?.KeyId ?? ''
  await client.send(new CreateAliasCommand({ AliasName: 'alias/shown', TargetKeyId: keyId }))
  client.destroy()
  browser = await chromium.launch({
    ...{ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
  })
})
afterAll(async () => {
  await browser.close()
  await broker[Symbol.asyncDispose]()
  expect(broker.faults).toEqual([])
})
beforeEach(async () => {
  page = await browser.newPage()
})

async function opened(): Promise<readonly string[]> {
  const problems: string[] = []
  page.on('console', (message) => problems.push(message.text()))
  page.on('pageerror', (error) => problems.push(error.message))
  await page.goto(broker.console)
  await page.getByRole('row', { name: 'alias/shown' }).waitFor()
  return problems
}

test('shows keys and policies, explains decisions, and follows the log, by keyboard alone', async () => {
  const problems = await opened()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  const focused = page.locator(':focus')
  expect(await focused.textContent()).toBe(keyId)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: `Key ${keyId}` }).waitFor()
  await expect.poll(() => focused.textContent()).toBe(`Key ${keyId}`)
  expect(await page.getByLabel('Policy of the key').textContent()).toContain(IMAGE)
  expect(await page.getByText('<b>not markup</b>').count()).toBe(1)
  await page.getByText('Admin: allows kms:Decrypt').waitFor()
  await page.getByLabel('Principal').fill(ARNS.app)
  await page.keyboard.press('Enter')
  await page.getByText('Deny (no-allow)').waitFor()
  await page.getByText(`StringEqualsIgnoreCase on ${IMAGE} does not hold`).waitFor()
  const client = broker.client('app')
  const encrypt = new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from('x') })
  await expect(client.send(encrypt)).rejects.toThrow()
  client.destroy()
  const entry = page.getByRole('log').getByText(`${ARNS.app} · Encrypt`)
  await entry.waitFor()
  expect(await entry.textContent()).toContain('refused (AccessDeniedException)')
  expect(problems).toEqual([])
})

test('disables and enables a key with the token, which is logged, and not without it', async () => {
  await opened()
  await page.getByRole('button', { name: keyId }).click()
  await page.getByRole('button', { name: 'Disable this key' }).click()
  await page.getByText('changes need the token').waitFor()
  await page.getByLabel('Token for changes').fill(TOKEN)
  await page.getByRole('button', { name: 'Disable this key' }).click()
  await page.getByText(`Key ${keyId} is Disabled.`).waitFor()
  await page.getByRole('button', { name: 'Enable this key' }).click()
  await page.getByText(`Key ${keyId} is Enabled.`).waitFor()
  await page.getByRole('log').getByText('console · EnableKey').waitFor()
})

describe('breaks no rule of WCAG that a program can check', () => {
  /** The rules that are broken, each with the elements. */
  async function broken(): Promise<readonly string[]> {
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate<AxeResults>('axe.run()')
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
  }

  test.each(['light', 'dark'] as const)(
    'with a key and a decision, in %s colours',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme })
      await opened()
      expect(await broken()).toEqual([])
      await page.getByRole('button', { name: keyId }).click()
      await page.getByLabel('Principal').fill(ARNS.app)
      await page.getByRole('button', { name: 'Decide' }).click()
      await page.getByText('Deny (no-allow)').waitFor()
      await page.getByRole('log').getByRole('listitem').first().waitFor()
      expect(await broken()).toEqual([])
    },
  )

  test('on a narrow screen, where nothing is cut off sideways', async () => {
    await page.setViewportSize({ width: 320, height: 640 })
    await opened()
    await page.getByRole('button', { name: keyId }).click()
    await page.getByRole('heading', { name: `Key ${keyId}` }).waitFor()
    expect(await broken()).toEqual([])
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(320)
  })
})

interface Sent {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
}

/** A request as another program, or a page of another site, can make it. */
function send(method: string, path: string, headers: Record<string, string> = {}): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const sent = request(`${broker.console}${path}`, { method, headers }, (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0, headers: response.headers })
    })
    sent.on('error', reject).end()
  })
}

describe('refuses', () => {
  test('a name that is not its own, and requests of other origins', async () => {
    const port = new URL(broker.console).port
    const statusOf = async (headers: Record<string, string>): Promise<number> =>
      (await send('GET', '/api/keys', headers)).status
    expect(await statusOf({})).toBe(200)
    expect(await statusOf({ host: `localhost:${port}` })).toBe(200)
    expect(await statusOf({ host: `rebound.example:${port}` })).toBe(421)
    expect(await statusOf({ host: '127.0.0.1' })).toBe(421)
    expect(await statusOf({ origin: 'http://evil.example' })).toBe(403)
    expect(await statusOf({ origin: 'null' })).toBe(403)
    expect(await statusOf({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    const { headers } = await send('GET', '/')
    expect(headers['content-security-policy']).toContain("default-src 'none'")
  })

  test('changes without the token, with another one, or by a page of another origin', async () => {
    const path = `/api/keys/${keyId}/disable`
    const token = { authorization: `Bearer ${TOKEN}` }
    expect((await send('POST', path)).status).toBe(403)
    expect((await send('POST', path, { authorization: 'Bearer another' })).status).toBe(403)
    expect((await send('POST', path, { ...token, origin: 'http://evil.example' })).status).toBe(403)
    expect((await send('GET', path, token)).status).toBe(404)
    expect((await send('DELETE', path, token)).status).toBe(405)
    expect((await send('POST', path, token)).status).toBe(200)
  })

  test('paths that it does not have', async () => {
    for (const path of ['/etc/passwd', '/../package.json', '/api/keys/x', '//evil.example/'])
      expect((await send('GET', path)).status).toBe(404)
  })
})
