import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { awsDocuments } from './test/vectors/plugin.ts'

// The suite in headless Chromium: everything but test/node. CHROMIUM names the browser's program.
export default defineConfig({
  assetsInclude: ['**/*.cbor'],
  plugins: [awsDocuments()],
  server: { fs: { strict: false } },
  test: {
    dir: import.meta.dirname,
    include: ['test/**/*.test.ts'],
    exclude: ['test/node/**'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
          args: ['--no-sandbox'],
        },
      }),
      instances: [{ browser: 'chromium' }],
    },
  },
})
