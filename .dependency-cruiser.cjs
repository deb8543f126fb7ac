// The arrows of the design. Each folder under src/ has one door, index.ts; `errors`, `cbor`, `yaml`,
// JSON, shell words, `subprocess` and `files` are the ground that everything stands on.

const ground =
  '^src/(errors|error-table|error-data|host-fault|bounded-json|exact-json|cbor|yaml|shell-word)\\.ts$|^src/(subprocess|files)/index\\.ts$|^attestation/'
const door = (folder) => `^src/${folder}/index\\.ts$`

/** What a folder may import besides itself, the ground and packages. */
const arrows = {
  eif: [],
  subprocess: [],
  files: [],
  cgroup: ['vmm'],
  vmm: [],
  vsock: [],
  chip: [],
  nsm: ['chip'],
  manifest: ['eif'],
  provenance: [],
  image: ['eif', 'manifest'],
  pkcs11: [],
  signing: ['eif', 'chip', 'pkcs11'],
  kms: ['chip', 'pkcs11'],
  network: ['manifest'],
  enclaves: ['cgroup', 'vmm', 'vsock', 'eif', 'manifest', 'network', 'nsm'],
  library: ['enclaves', 'image', 'eif', 'manifest', 'network', 'signing', 'vmm', 'vsock'],
  proxy: ['enclaves', 'vsock'],
  doctor: ['cgroup', 'enclaves', 'vmm', 'vsock'],
  keeper: ['cgroup', 'enclaves', 'manifest', 'vmm', 'vsock', 'network', 'nsm', 'chip', 'eif'],
}

const folderRules = Object.entries(arrows).map(([folder, allowed]) => ({
  name: `arrows-of-${folder}`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: {
    path: '^(src|attestation)/',
    pathNot: [`^src/${folder}/`, ground, ...allowed.map(door)].join('|'),
  },
}))

module.exports = {
  forbidden: [
    ...folderRules,
    {
      name: 'only-through-doors',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/(?!cli/)[^/]+/', pathNot: '^src/[^/]+/index\\.ts$' },
    },
    {
      name: 'attestation-stands-alone',
      severity: 'error',
      from: { path: '^attestation/(src|node)/' },
      to: { path: '^src/' },
    },
    {
      name: 'kms-client-stands-alone',
      severity: 'error',
      from: { path: '^kms-client/src/' },
      to: { path: '^src/' },
    },
    {
      name: 'nobody-imports-the-cli',
      severity: 'error',
      from: { path: '^src/(?!cli/)' },
      to: { path: '^src/cli/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules|dist' },
    exclude: { path: 'dist/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'] },
  },
}
