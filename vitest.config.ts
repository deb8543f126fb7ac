import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { awsDocuments } from './attestation/test/vectors/plugin.ts'

// Pure tests run in parallel. Integration and fault tests boot real machines, which mostly wait: two files at a time
// (scripts/test.mjs: one of fault tests), beside one other job. What is waited for has time on a busy machine too.
const expectations = { poll: { timeout: 30_000 } }

export default defineConfig({
  test: {
    projects: [
      {
        // Binary vectors are imported as data URLs: the same tests run in Node and in browsers.
        assetsInclude: ['**/*.cbor'],
        plugins: [awsDocuments()],
        test: {
          name: 'pure',
          include: [
            'test/{unit,vectors,property,conformance}/**/*.test.ts',
            'attestation/test/**/*.test.ts',
          ],
          expect: expectations,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'real',
          globalSetup: ['test/built.ts'],
          include: ['test/{integration,faults}/**/*.test.ts'],
          expect: expectations,
          testTimeout: 360_000,
          hookTimeout: 360_000,
          maxWorkers: Math.min(2, availableParallelism()),
          // Vitest runs projects with as many workers together.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'lab',
          globalSetup: ['test/built.ts'],
          include: ['test/lab/*.test.ts'],
          expect: expectations,
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
