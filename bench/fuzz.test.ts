// `FUZZ=1000000 npx vitest run --config bench/vitest.fuzz.config.ts`: fuzzes the verifier, and
// the key broker's parsers.

import { test } from 'vitest'
import { fuzz } from './attestation-fuzz.ts'
import { fuzzKms } from './kms-fuzz.ts'

const COUNT = Number(process.env['FUZZ'] ?? 1_000_000)

test('the parsers of the key broker', { timeout: 7_200_000 }, () => {
  fuzzKms(COUNT)
})

test('fuzz', { timeout: 7_200_000 }, async () => {
  await fuzz(COUNT)
})
