// Every example runs and says what it promises.

import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'

const folder = join(import.meta.dirname, '../..')

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  verify: ['verified i-', 'refused ERR_PCR_MISMATCH', 'hint:'],
  'policy-and-ear': ['"ear_status": "warning"', 'jwt of'],
  'http-server': ['first 401', 'then 200 hello i-', 'again 403'],
  'express-server': ['first 401', 'then 200 hello i-'],
  'hono-app': ['first 401', 'then 200 hello i-'],
  'attested-fetch': ['answer: a secret for you', 'from i-'],
}

describe('examples', () => {
  beforeAll(() => {
    execFileSync('npx', ['--no-install', 'tsc', '-p', join(folder, 'examples')])
  })

  test('are all in this list', () => {
    const files = readdirSync(join(folder, 'examples')).filter((file) => file.endsWith('.ts'))
    const names = files
      .map((file) => file.slice(0, -3))
      .filter((name) => name !== 'stand-in-enclave')
    expect(names.toSorted()).toEqual(Object.keys(EXPECTED).toSorted())
  })

  for (const [name, lines] of Object.entries(EXPECTED)) {
    test(`${name} runs`, () => {
      const program = join(folder, 'build/examples', `${name}.js`)
      const output = execFileSync(process.execPath, [program], { encoding: 'utf8' })
      for (const line of lines) expect(output).toContain(line)
    })
  }
})
