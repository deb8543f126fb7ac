import { defineConfig } from 'vitest/config'
import { awsDocuments } from './test/vectors/plugin.ts'

// Compares with Go's hf/nitrite, which `go build` takes from the Go module proxy: needs Go.
export default defineConfig({
  assetsInclude: ['**/*.cbor'],
  plugins: [awsDocuments()],
  test: {
    dir: import.meta.dirname,
    include: ['test/differential/*.differential.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
