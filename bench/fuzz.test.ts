// `FUZZ=1000000 npx vitest run --config bench/vitest.fuzz.config.ts`: fuzzes the verifier.

import { test } from 'vitest'
import { fuzz } from './attestation-fuzz.ts'

test('fuzz', { timeout: 7_200_000 }, async () => {
  await fuzz(Number(process.env['FUZZ'] ?? 1_000_000))
})
