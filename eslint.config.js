import tsdoc from 'eslint-plugin-tsdoc'
import tseslint from 'typescript-eslint'

const browserSafe = [
  ...['Buffer', 'process', 'fetch', 'require', 'WebSocket', 'XMLHttpRequest', 'localStorage'],
].map((name) => ({ name, message: 'The verifier core runs everywhere and does no I/O.' }))

export default tseslint.config(
  {
    ignores: [
      '**/dist/**',
      'bundle/**',
      '**/build/**',
      'target/**',
      '**/node_modules/**',
      'scripts/**',
      '**/*.{js,mjs,cjs}',
      '*.config.ts',
      'attestation/*.config.ts',
    ],
  },
  tseslint.configs.strictTypeChecked,
  {
    plugins: { tsdoc },
    languageOptions: {
      parserOptions: {
        project: [
          'src/tsconfig.json',
          'test/tsconfig.json',
          'attestation/tsconfig.json',
          'attestation/node/tsconfig.json',
          'attestation/examples/tsconfig.json',
          'attestation/test/tsconfig.json',
          'kms-client/tsconfig.json',
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'tsdoc/syntax': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: false }],
      'max-lines-per-function': ['error', { max: 60 }],
      'max-params': ['error', 4],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      'no-console': 'error',
    },
  },
  {
    files: [
      'test/**',
      'attestation/test/**',
      'attestation/examples/**',
      'bench/**',
      'docs/examples/**',
    ],
    rules: {
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      'max-params': 'off',
      'no-console': 'off',
    },
  },
  {
    files: ['test/**'],
    ignores: ['test/lab/**', 'test/fixtures/once.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          name: 'node:events',
          importNames: ['once'],
          message: 'It waits for ever for what can no longer come: see test/fixtures/once.ts.',
        },
      ],
    },
  },
  { files: ['**/error-table.ts'], rules: { 'max-lines': 'off' } },
  {
    files: ['attestation/src/**'],
    rules: { 'no-restricted-globals': ['error', ...browserSafe] },
  },
)
