// The programs that people start, as a few large files instead of some hundred small ones: Node takes
// longer to load Cloister's modules one by one than to run most commands. What a command does not need
// stays in chunks of its own. `dist` has the same code as modules, for the tests and for libraries.
//
// The folders lie as deep below the repository as those of `dist`: what is found by its path relative to
// a module is found from here too.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/** CommonJS packages require Node's own modules. */
const REQUIRE = `import { createRequire as cloisterCreateRequire } from 'node:module'
const require = cloisterCreateRequire(import.meta.url)`

const options = {
  outdir: 'bundle',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // The first looks for its WebAssembly beside itself. Of the second, which is loaded when a key of AWS KMS
  // signs, the bundle would have the CommonJS form, whose names are not those of the module.
  external: ['node-sqlite3-wasm', '@aws-sdk/client-kms'],
  // Its main module looks for a native addon, which decodes; we encode alone.
  alias: { 'cbor-x': 'cbor-x/encode' },
  // For the stacks that --verbose shows.
  sourcemap: true,
  sourcesContent: false,
  // Comments too take time to read; names stay.
  minifyWhitespace: true,
  banner: { js: REQUIRE },
  logLevel: 'warning',
}

rmSync('bundle', { recursive: true, force: true })
// One by one: code that both had in common would lie in many small chunks.
await build({
  ...options,
  entryPoints: { 'cli/main': 'src/cli/main.ts' },
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
})
await build({
  ...options,
  entryPoints: { 'keeper/main': 'src/keeper/main.ts' },
  splitting: true,
  chunkNames: 'keeper/[name]-[hash]',
})
await build({
  ...options,
  entryPoints: { 'kms/postgres-worker': 'src/kms/postgres-worker.ts' },
  external: ['pg-native'],
})

// Most files require nothing; the line stays, for the source maps count lines.
for (const file of readdirSync('bundle', { recursive: true })) {
  if (!file.endsWith('.js')) continue
  const path = join('bundle', file)
  const text = readFileSync(path, 'utf8')
  const rest = text.replace(REQUIRE, '\n'.repeat(REQUIRE.split('\n').length - 1))
  if (!/\brequire\b/.test(rest)) writeFileSync(path, rest)
}
