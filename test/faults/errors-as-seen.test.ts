// Every error as a person sees it: provoked through the real `main`, with nitro-cli's number and exit status,
// a message, advice that fits, and nothing left behind. Codes that no command line can provoke are
// listed with the reason.

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorTable, type ErrorCode } from '../../src/error-table.ts'
import { assemble, golden, goldenBytes, mendCrc, patch, withField } from '../fixtures/eif/golden.ts'
import { tarOf, writeLayout, type LayoutParts, type Member } from '../fixtures/image/archive.ts'
import { helloRootfs, TestHost, type CliResult, type DescribedEnclave } from '../host.ts'

let host: TestHost
let eif: string

beforeAll(async () => {
  host = new TestHost()
  mkdirSync(host.path('tmp'))
  // QEMU's user must reach the programs that take its place.
  chmodSync(host.directory, 0o711)
  eif = await host.build('hello')
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const run = 'cloister run --eif-path "$EIF" --memory 128'

/** A shell script; `$EIF` is the example's image. */
type Script = string | (() => string | Promise<string>)

/** Provoked by tests of their own, which need more than a command line. */
const elsewhere: Partial<Record<ErrorCode, string>> = {
  ERR_NSM_CARD: 'faults/failing-starts.test.ts',
  ERR_NSM_QUOTE_MISMATCH: 'faults/swtpm-death.test.ts',
  ERR_IMAGE_LIMIT: 'integration/build-enclave.test.ts',
  ERR_IMAGE_EGRESS: 'unit/manifest/egress.test.ts',
  ERR_IMAGE_PULL: 'integration/image-sources.test.ts',
  ERR_IMAGE_DOCKERFILE: 'integration/image-sources.test.ts',
  ERR_CHIP_TPM_GONE: 'faults/swtpm-death.test.ts',
  ERR_CHIP_TPM_TIMEOUT: 'unit/tpm-transport.test.ts',
  ERR_CHIP_TPM_PROTOCOL: 'unit/tpm-transport.test.ts',
  ERR_CHIP_TPM_RC: 'unit/tpm-transport.test.ts',
  ERR_CHIP_STATE_EXISTS: 'integration/virtual-tpm.test.ts',
  ERR_CHIP_STATE_CHANGED: 'integration/host-chip.test.ts',
  ERR_CHIP_KEY_UNSUPPORTED: 'integration/host-chip.test.ts',
  ERR_CHIP_CERTIFICATE_SIZE: 'integration/host-chip.test.ts',
  ERR_CHIP_CERTIFICATE_EXPIRED: 'integration/host-chip.test.ts',
  ERR_EIF_SIGNATURE_FORMAT: 'unit/eif/signature.test.ts',
  ERR_IMAGE_SOURCE_CHANGED: 'unit/image/directory-source.test.ts',
  ERR_IMAGE_TAR: 'unit/image/layer.test.ts',
  ERR_EIF_MANIFEST: 'unit/manifest/manifest.test.ts',
  ERR_VMM_CONTROL: 'unit/qmp.test.ts',
  ERR_VSOCK_FRAME: 'unit/vsock-frame.test.ts',
  ERR_VSOCK_FORWARD_TARGET: 'unit/forward.test.ts',
  ERR_KEEPER_CONFIG_DATA: 'integration/config-data.test.ts',
  ERR_KEEPER_AGENT: 'unit/agent-channel.test.ts',
  ERR_KEEPER_USERS: 'unit/part-users.test.ts',
  ERR_KMS_DECISION: 'unit/kms/command.test.ts',
  ERR_PARENT_NESTED: 'integration/parent-calls.test.ts',
  ERR_PARENT_PROGRAM: 'integration/parent-calls.test.ts',
}

const notProvoked: Partial<Record<ErrorCode, string>> = {
  ERR_KMS_REQUEST:
    'is answered to a client, as SerializationException; property/kms-requests.test.ts',
  ERR_INTERNAL: 'a fault of Cloister that is known is fixed instead',
  ERR_HOST_MEMORY:
    'Node itself ends when memory is short; test/unit/host-fault.test.ts has the rule',
  ERR_HOST_PROCESSES: 'root has no limit, and Node needs threads; test/unit/host-fault.test.ts',
  ERR_DEMO_APP: 'the set-up builds the example before any test runs',
  ERR_EIF_CONTENT: 'takes a file that changes within the milliseconds of writing',
  ERR_KEEPER_STOP: 'takes a process that not even SIGKILL ends',
  ERR_CHIP_TPM_FAILED: 'ends an enclave that runs: it is in the record, not on a command line',
  ERR_PARENT_DESCRIPTOR: "takes a vsock socket of the host's, and no test makes one",
  ERR_PARENT_KERNEL: 'takes a kernel without seccomp user notification',
  ERR_CHIP_BUSY: 'takes another swtpm on the directory for 30 seconds',
}

const seen = new Set<string>()

/** Runs a script in which `cloister` fails, and looks at what a person sees. */
async function fails(code: ErrorCode, script: Script): Promise<CliResult> {
  const text = typeof script === 'string' ? script : await script()
  const result = await host.shell(`export TMPDIR="$PWD/tmp" EIF='${eif}'\n${text}`)
  look(code, result, text)
  expect(host.leftovers()).toEqual([])
  expect(readdirSync(host.path('tmp'))).toEqual([])
  return result
}

/** nitro-cli's number, 0 for none, and exit status of the command that a script ends with. */
function expectedOf(code: ErrorCode, script: string): { number: number; status: number } {
  const isPortFlag =
    code === 'ERR_VSOCK_FORWARD' ||
    (code === 'ERR_VSOCK_PORTS' && script.includes('run --eif-path'))
  if (code === 'ERR_CLI_ARGUMENT' || isPortFlag) return { number: 0, status: 2 }
  const calls = [...script.matchAll(/(?:cloister|"\$CLI") (?:--verbose )?([a-z][a-z-]+)/g)]
  const command = calls.at(-1)?.[1]
  const { nitro, nitroIn } = errorTable[code]
  const isRun = command === 'run' || command === 'run-enclave'
  const number = (isRun ? nitroIn?.['run-enclave'] : command === 'pcr' && nitroIn?.pcr) || nitro
  const isOfConfig = code.startsWith('ERR_CONFIG_') || code === 'ERR_FILE_INPUT'
  if (isRun && !isOfConfig) return { number, status: 39 }
  return { number, status: number === 0 ? 1 : number }
}

function look(code: ErrorCode, { status, stdout, stderr }: CliResult, script: string): void {
  const expected = expectedOf(code, script)
  const number = expected.number === 0 ? '' : `[ E${String(expected.number).padStart(2, '0')} ] `
  const lines = stderr.trimEnd().split('\n')
  const first = lines.findIndex((line) => /^(\[ E\d+ \] )?ERR_/.test(line))
  expect(lines[first], stderr).toMatch(/: \S/)
  expect(lines[first]?.startsWith(`${number}${code}: `), stderr).toBe(true)
  expect({ status, stdout }, stderr).toEqual({ status: expected.status, stdout: '' })
  expect(lines.at(-1)).toMatch(/^What to do: \S.*[.!)]$/)
  // Between the two there are details, causes and marked lines of others only.
  const between = lines.slice(first + 1, -1)
  expect(between.filter((line) => !/^( {2}|\(Did you mean|Caused by: )/.test(line))).toEqual([])
  expect(stderr).not.toMatch(/undefined|\[object|^\s+at /m)
  seen.add(code)
}

function file(name: string, bytes: Uint8Array | string, mode = 0o644): string {
  const path = host.path(name)
  writeFileSync(path, bytes, { mode })
  return path
}

const describeImage = (bytes: Uint8Array | string) => (): string =>
  `cloister describe-eif --eif-path '${file('damaged.eif', bytes)}'`

const buildImage = (...words: readonly string[]) =>
  `cloister build-enclave --output-file out.eif ${words.join(' ')}`

const buildHello = (...words: readonly string[]): string =>
  buildImage('--rootfs', helloRootfs, '--entrypoint', '/hello', ...words)

/** Builds from an OCI layout of one layer with these members. */
const buildLayer = (members: readonly Member[], parts: Partial<LayoutParts> = {}) =>
  async function build(): Promise<string> {
    rmSync(host.path('layout'), { recursive: true, force: true })
    await writeLayout(host.path('layout'), { layers: [await tarOf(members)], ...parts })
    return buildImage('--docker-uri', 'oci:layout:latest')
  }

/** Starts the example with another program in the place of one of ours. */
const runWith = (variable: string, program: string) => (): string =>
  `${variable}='${file('part', program, 0o755)}' cloister run --eif-path "$EIF" --memory 128`

/** Makes key.pem and its certificate signer.pem, valid for so many days, which may be negative. */
const makeSigner = (days: number): string =>
  `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=x \
    -keyout key.pem -out signer.csr 2>/dev/null &&
  openssl x509 -req -in signer.csr -key key.pem -days ${String(days)} -out signer.pem 2>/dev/null`
const SIGNED = ['--signing-certificate', 'signer.pem', '--private-key', 'key.pem'] as const

/** A signed image whose kernel was changed afterwards. */
async function tampered(): Promise<string> {
  expect((await host.shell(`${makeSigner(2)}; ${buildHello(...SIGNED)}`)).status).toBe(0)
  const bytes = readFileSync(host.path('out.eif'))
  const inKernel = 4096
  const changed = mendCrc(patch(bytes, inKernel, [(bytes[inKernel] ?? 0) ^ 1]))
  return `cloister pcr --eif '${file('tampered.eif', changed)}'`
}

/** Starts the example where swtpm is another program. */
function withSwtpm(body: string): string {
  return `printf '#!/bin/sh\n%s\n' '${body}' > swtpm.sh && chmod 755 swtpm.sh &&
    CLI='${host.cli}' unshare --mount bash -c 'mount --bind swtpm.sh "$(command -v swtpm)" &&
      "${process.execPath}" "$CLI" run --eif-path "$EIF" --memory 128'`
}

/** Starts the example in a state directory that was complete until `change`. */
function withState(change: string): string {
  return `export CLOISTER_STATE_DIR="$PWD/changed"
    CLOISTER_QEMU=/no/such ${run} 2>/dev/null; ${change}; ${run}; s=$?
    rm -r "$CLOISTER_STATE_DIR"; exit $s`
}

/** Makes a broker's store, by starting one and ending it. */
const MAKE_STORE = `serve > out & for n in {1..300}; do grep -q '}' out && break; sleep 0.1; done
  kill "$(sed -n 's/.*ProcessID": //p' out)"; wait; rm out`

/** Starts a broker after `change`. */
function serveKms(change: string, ...args: readonly string[]): string {
  const principal = {
    arn: 'arn:aws:iam::111122223333:user/app',
    accessKeys: [{ accessKeyId: 'AKIATEST000000000000', secretAccessKey: 'x'.repeat(40) }],
  }
  const file = JSON.stringify({ version: 1, principals: [principal] })
  return `umask 077; rm -rf kms p.json master; echo '${file}' > p.json; printf %064d 1 > master
    serve() { cloister kms serve --store kms --credentials p.json --master-key-file master --port 0 "$@"; }
    ${change}
    serve ${args.join(' ')}`
}

const metadataOffset = golden.sections[2]?.dataOffset ?? 0
const app: readonly Member[] = [{ name: 'app', data: 'x' }]

describe('a person sees', () => {
  const cases: readonly (readonly [ErrorCode, string, Script])[] = [
    ['ERR_CLI_ARGUMENT', 'a missing option', 'cloister describe-eif'],
    ['ERR_CLI_ARGUMENT', 'an unknown option', 'cloister list --al'],
    [
      'ERR_CLI_ARGUMENT',
      'an option that would take the next one for its value',
      `${run} --role --debug-mode`,
    ],
    [
      'ERR_HOST_DESCRIPTORS',
      'too few descriptors for a command',
      // As many as it can begin with, but not work with.
      `n=44; while (ulimit -n $n; cloister describe-eif --eif-path "$EIF") > /dev/null 2>&1
      do n=$((n - 2)); done; ulimit -n $n; cloister describe-eif --eif-path "$EIF"`,
    ],
    ['ERR_HOST_DESCRIPTORS', 'too few descriptors for an enclave', `ulimit -n 1024; ${run}`],
    ['ERR_FILE_OUTPUT', 'a missing output directory', buildHello('--output-file', 'no/x.eif')],
    [
      'ERR_FILE_OUTPUT',
      'a full standard output',
      'mknod full c 1 7; cloister describe-eif --eif-path "$EIF" > full; s=$?; rm full; exit $s',
    ],
    ['ERR_FILE_TEMPORARY', 'a missing TMPDIR', 'TMPDIR=/no/such cloister demo'],
    ['ERR_PROCESS_SPAWN', 'a missing QEMU', `CLOISTER_QEMU=/no/such ${run}`],
    ['ERR_VSOCK_PATH', 'a long path', `CLOISTER_RUNTIME_DIR=$PWD/${'x'.repeat(90)} ${run}`],
    ['ERR_VSOCK_PORTS', 'a malformed port list', `${run} --guest-ports 5005-`],
    ['ERR_VSOCK_HOST', 'a host without a vsock loopback', `${run} --vsock host`],
    [
      'ERR_MANIFEST_YAML',
      'a manifest that is not YAML',
      () => buildImage('--manifest', file('cloister.yaml', 'a: [')),
    ],
    [
      'ERR_MANIFEST_FIELD',
      'a manifest with an unknown key',
      () => buildImage('--manifest', file('cloister.yaml', 'cloister: 1\negres: []\n')),
    ],
    [
      'ERR_VSOCK_FORWARD',
      'a malformed forwarding',
      'cloister forward --enclave-name hello -L 8080:https',
    ],
    [
      'ERR_CLI_ARGUMENT',
      'two forwardings from one port',
      'cloister forward --enclave-name hello -L 8080:5005 -L 127.0.0.1:8080:5006',
    ],
    ['ERR_PROCESS_SPAWN', 'a missing card', `CLOISTER_NSM_CARD=/no/such ${run}`],
    [
      'ERR_VSOCK_CARD',
      'a card that ends',
      runWith('CLOISTER_VSOCK_CARD', '#!/bin/sh\necho no card today >&2\nexit 1\n'),
    ],
    [
      'ERR_VSOCK_CARD',
      'a card that says nonsense',
      runWith('CLOISTER_VSOCK_CARD', '#!/bin/bash\necho \'{"event":"ready"}\' >&3\nsleep 60\n'),
    ],
    [
      'ERR_VSOCK_CARD',
      'a card that hangs',
      runWith('CLOISTER_VSOCK_CARD', '#!/bin/bash\nexec sleep 60\n'),
    ],
    [
      'ERR_VMM_KVM',
      'a /dev/kvm that only root may open',
      `export CLI='${join(import.meta.dirname, '../../dist/cli/main.js')}'; touch private && chmod 600 private && unshare --mount bash -c '
        [ ! -e /dev/kvm ] || mount --bind private /dev/kvm
        exec "${process.execPath}" "$CLI" run --eif-path "$EIF" --memory 128 --accelerator kvm'`,
    ],
    ['ERR_VMM_START', 'a QEMU that ends', runWith('CLOISTER_QEMU', '#!/bin/sh\nexit 1\n')],
    ['ERR_KEEPER_DIRECTORY', 'a directory for all', `CLOISTER_RUNTIME_DIR=/tmp ${run}`],
    [
      'ERR_KEEPER_RECORD',
      'a damaged record',
      `d="$CLOISTER_RUNTIME_DIR/enclaves/broken"; mkdir -p "$d"; echo '{' > "$d/record.json"
      cloister stop --enclave-id broken; s=$?; rm -r "$d"; exit $s`,
    ],
    ['ERR_KEEPER_CPU', 'a CPU that is missing', `${run} --cpu-ids 4000`],
    ['ERR_KEEPER_CPU_COUNT', 'more vCPUs than CPUs', `${run} --cpu-count $(($(nproc) + 1))`],
    [
      'ERR_KEEPER_HOST_MEMORY',
      'more memory than there is',
      'cloister run --eif-path "$EIF" --memory 9T',
    ],
    ['ERR_KEEPER_CPU_REPEATED', 'a CPU named twice', `${run} --cpu-ids 0 0`],
    ['ERR_KEEPER_NO_SUCH_ENCLAVE', 'an unknown id', 'cloister console --enclave-id i-0-enc0'],
    ['ERR_KEEPER_NO_SUCH_NAME', 'an unknown name', 'cloister console --enclave-name nobody'],
    ['ERR_FILE_INPUT', 'a missing file', 'cloister pcr --input /no/such'],
    ['ERR_FILE_INPUT', 'a missing --config file', 'cloister run --config /no/such'],
    ['ERR_CONFIG_DATA', 'a missing configuration', 'cloister pcr --config-data /no/such'],
    ['ERR_CONFIG_FORMAT', 'a --config file of noise', 'cloister run --config /etc/passwd'],
    [
      'ERR_CONFIG_CONFLICT',
      'a --config file with both keys for CPUs',
      () => `cloister run --config '${file('c.json', '{"cpu_count":1,"cpu_ids":[0]}')}'`,
    ],
    [
      'ERR_CONFIG_INCOMPLETE',
      'a --config file without an image',
      () => `cloister run --config '${file('c.json', '{}')}'`,
    ],
    [
      'ERR_KEEPER_IMAGE',
      'an image for ARM',
      () => `cloister run --eif-path '${file('arm.eif', withField(7, 1))}'`,
    ],
    ['ERR_KEEPER_MEMORY', 'too little memory', 'cloister run --eif-path "$EIF" --memory 1'],
    ['ERR_EIF_MAGIC', 'a file of noise', describeImage('noise'.repeat(999))],
    ['ERR_EIF_VERSION', 'an old version', describeImage(withField(4, 0, 3))],
    ['ERR_EIF_HEADER', 'a reserved field', describeImage(withField(0x18, 0, 1))],
    ['ERR_EIF_TRUNCATED', 'half a file', describeImage(goldenBytes.slice(0, 700))],
    ['ERR_EIF_TRAILING_BYTES', 'a byte more', describeImage(Uint8Array.of(...goldenBytes, 0))],
    ['ERR_EIF_SECTION_TABLE', 'a wrong size', describeImage(withField(548 + 11, 17))],
    ['ERR_EIF_SECTION_TYPE', 'a section of type 6', describeImage(withField(549, 6))],
    ['ERR_EIF_SECTION_MISSING', 'no kernel', describeImage(assemble([1, 2, 3, 4]))],
    ['ERR_EIF_SECTION_REPEATED', 'two kernels', describeImage(assemble([0, 1, 2, 3, 0]))],
    ['ERR_EIF_SECTION_SIZE', 'an empty kernel', describeImage(assemble([0, 1, 2, 3, 4], {}, 0))],
    ['ERR_EIF_SECTION_ORDER', 'a ramdisk first', describeImage(assemble([3, 0, 1, 2]))],
    [
      'ERR_EIF_CRC',
      'a wrong checksum',
      () => `cloister pcr --eif '${file('damaged.eif', patch(goldenBytes, 0x220, [0]))}'`,
    ],
    ['ERR_EIF_METADATA', 'broken metadata', describeImage(withField(metadataOffset, 0x5b))],
    ['ERR_EIF_CMDLINE', 'a control character', buildHello('--cmdline', "$'a\\001b'")],
    [
      'ERR_EIF_CERTIFICATE',
      'no certificate',
      () => `cloister pcr --signing-certificate '${file('noise.pem', 'noise')}'`,
    ],
    [
      'ERR_EIF_CERTIFICATE_DATES',
      'an expired certificate',
      () => `${makeSigner(-1)}; ${buildHello(...SIGNED)} > /dev/null &&
        cloister run --eif-path out.eif --memory 128`,
    ],
    [
      'ERR_EIF_SIGNING',
      'the key of another certificate',
      () => `${makeSigner(2)}; cp key.pem other.pem; ${makeSigner(2)}
        ${buildHello('--signing-certificate', 'signer.pem', '--private-key', 'other.pem')}`,
    ],
    [
      'ERR_SIGNING_KEY',
      'a key file that is missing',
      () => `${makeSigner(2)}; cp "$EIF" out.eif
        cloister sign-eif --eif-path out.eif --signing-certificate signer.pem --private-key no.pem`,
    ],
    ['ERR_EIF_SIGNATURE_INVALID', 'an image changed since it was signed', tampered],
    ['ERR_CHIP_TPM_START', 'a swtpm that ends', () => withSwtpm('echo no TPM >&2; exit 1')],
    [
      'ERR_CHIP_STATE_MISSING',
      'a chip without its TPM',
      withState('rm "$CLOISTER_STATE_DIR/chip/tpm/tpm2-00.permall"'),
    ],
    [
      'ERR_CHIP_STATE_INVALID',
      'a chip with a foreign file',
      withState('echo "{}" > "$CLOISTER_STATE_DIR/chip/chip.json"'),
    ],
    ['ERR_IMAGE_REFERENCE', 'a path without its kind', buildImage('--docker-uri', './busybox')],
    ['ERR_IMAGE_SOURCE_MISSING', 'a missing directory', buildImage('--rootfs', '/no/such')],
    [
      'ERR_IMAGE_LAYOUT',
      'an empty directory as layout',
      'mkdir -p l; echo "{}" > l/oci-layout; echo "{}" > l/index.json; ' +
        buildImage('--docker-uri', 'oci:l:x'),
    ],
    ['ERR_IMAGE_TAG', 'an unknown tag', buildLayer(app, { tags: ['other'] })],
    ['ERR_IMAGE_ARCHITECTURE', 'an image for ARM', buildLayer(app, { architecture: 'arm64' })],
    [
      'ERR_IMAGE_DIGEST',
      'a wrong diff_id',
      buildLayer(app, { diffIds: [`sha256:${'0'.repeat(64)}`] }),
    ],
    ['ERR_IMAGE_LAYER', 'a layer of noise', buildLayer(app, { packed: [Buffer.from('noise')] })],
    ['ERR_IMAGE_PATH', 'a path that leads out', buildLayer([{ name: '../app', data: 'x' }])],
    [
      'ERR_IMAGE_ENTRY',
      'a hard link to nothing',
      buildLayer([{ name: 'l', type: 'link', linkname: 'none' }]),
    ],
    ['ERR_IMAGE_CONFIG', 'nothing to run', buildLayer(app, { config: {} })],
    [
      'ERR_IMAGE_USER',
      'an unknown user',
      buildLayer(app, { config: { Entrypoint: ['/app'], User: 'x' } }),
    ],
    ['ERR_IMAGE_BLOBS', 'no kernel', buildHello('--blobs', '/no/such')],
    [
      'ERR_IMAGE_ROOT',
      'a command line that lets the kernel drop the ramdisks',
      buildHello('--root', 'squashfs', '--cmdline', 'panic=-1'),
    ],
    [
      'ERR_IMAGE_TOOL_MISSING',
      'a missing writer of root file systems',
      `CLOISTER_SQUASHFS=/no/such ${buildHello('--root', 'squashfs')}`,
    ],
    ['ERR_KMS_CREDENTIALS', 'a principal that is not one', serveKms(`sed -i s/user/usr/ p.json`)],
    ['ERR_KMS_CREDENTIALS', 'keys that everybody can read', serveKms('chmod 644 p.json')],
    [
      'ERR_KMS_MASTER_KEY',
      'the key of another store',
      serveKms(`${MAKE_STORE}\nprintf %064d 2 > master`),
    ],
    ['ERR_KMS_STORE', 'a store of noise', serveKms('mkdir kms; yes | head -c 9999 > kms/kms.db')],
    ['ERR_KMS_LISTEN', 'an address that others reach', serveKms('', '--host', '0.0.0.0')],
    [
      'ERR_KMS_AUDIT',
      'a log that does not reach the noted end',
      serveKms(`${MAKE_STORE}
        cloister kms audit verify --store kms --head 9:$(printf %064d 0); exit $?`),
    ],
  ]
  test.each(cases)('%s for %s', async (code, _what, script) => {
    await fails(code, script)
  })

  test('one code for an image that cannot be read, in every command and for every reason', async () => {
    const reasons = { missing: '/no/such.eif', directory: '/etc', device: '/dev/null', empty: '' }
    for (const [reason, path] of Object.entries(reasons)) {
      for (const command of ['run --eif-path', 'describe-eif --eif-path', 'pcr --eif']) {
        const { stderr } = await fails('ERR_EIF_UNREADABLE', `cloister ${command} '${path}'`)
        expect(stderr, reason).not.toContain('ERR_INTERNAL')
      }
    }
  })

  test('what a card, QEMU and swtpm said last', async () => {
    const words = "'#!/bin/sh\\necho my last words >&2; exit 1\\n'"
    for (const [variable, code] of [
      ['CLOISTER_VSOCK_CARD', 'ERR_VSOCK_CARD'],
      ['CLOISTER_QEMU', 'ERR_VMM_START'],
    ] as const) {
      const script = `printf ${words} > part; chmod 755 part; ${variable}=$PWD/part ${run}`
      expect((await fails(code, script)).stderr).toContain('my last words')
    }
    const silent = await fails('ERR_VMM_START', `CLOISTER_QEMU=/bin/false ${run}`)
    expect(silent.stderr).toMatch(/exit status 1[^]*What to do: .*CLOISTER_QEMU/)
    const { stderr } = await fails(
      'ERR_CHIP_TPM_START',
      withSwtpm('echo my last words >&2; exit 1'),
    )
    expect(stderr).toContain('my last words')
  })

  test('a full disk as a full disk, whatever it was that needed room', async () => {
    const full = (variable: string): string => `unshare --mount bash -c '
      mkdir -p small && mount -t tmpfs -o size=64k,mode=0700 none small &&
      mkdir -m 700 small/d && { cat /dev/zero > small/fill 2>/dev/null; true; }
      export ${variable}="$PWD/small/d" CLI="'"$CLI"'"
      "${process.execPath}" "$CLI" run --eif-path "$EIF" --memory 128; s=$?
      find small/d -type f >&2; exit $s'`
    for (const variable of ['CLOISTER_STATE_DIR', 'CLOISTER_RUNTIME_DIR']) {
      const result = await host.shell(`export CLI='${host.cli}' EIF='${eif}'\n${full(variable)}`)
      expect(result.stderr, variable).toMatch(/no space left/i)
      expect(result.stderr, variable).toMatch(/What to do: Free some space/)
      expect(result, variable).toMatchObject({ stdout: '' })
    }
  })

  test('with --verbose, on either side of the command, the stacks and every detail', async () => {
    for (const script of [
      'cloister --verbose run --eif-path /no/such.eif',
      'cloister run --eif-path /no/such.eif --verbose',
    ]) {
      const { stderr, status } = await host.shell(script)
      expect(status).toBe(39)
      expect(stderr).toMatch(/^ {2}path: \/no\/such\.eif$/m)
      expect(stderr).toMatch(/^Caused by: ENOENT: /m)
      expect(stderr).toMatch(/^ {2}\| +at /m)
      expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^What to do: /)
    }
  })
})

describe('of a running enclave, or one that starts, a person sees', () => {
  let enclave: DescribedEnclave

  beforeAll(async () => {
    enclave = await host.start(eif)
  })

  async function stopped(pid: number | undefined, script: string): Promise<CliResult> {
    process.kill(pid ?? 0, 'SIGSTOP')
    try {
      return await host.shell(script)
    } finally {
      process.kill(pid ?? 0, 'SIGCONT')
    }
  }

  test('that a port is closed, that it has no console, and which part does not answer', async () => {
    const open = 'cloister open-ports --enclave-name hello --guest-ports'
    const sees = async (code: ErrorCode, script: string, pid?: number): Promise<void> => {
      look(code, await (pid === undefined ? host.shell(script) : stopped(pid, script)), script)
    }
    await sees(
      'ERR_VSOCK_CONNECT',
      'cloister connect --enclave-name hello --port 1 --timeout 0 < /dev/null',
    )
    await sees('ERR_KEEPER_NO_CONSOLE', 'cloister console --enclave-name hello')
    const sameCid = `--enclave-cid ${String(enclave.EnclaveCID)}`
    await sees(
      'ERR_KEEPER_CID',
      `cloister run --eif-path '${eif}' --memory 128 ${sameCid} --accelerator tcg`,
    )
    await sees('ERR_VSOCK_LISTEN', 'cloister forward --enclave-name hello -L 192.0.2.1:80:5005')
    await sees('ERR_VSOCK_LISTEN', 'cloister forward --enclave-name hello -L /no/such/x:5005')
    await sees('ERR_KEEPER_WAIT', 'cloister wait --enclave-name hello --timeout 0')
    await sees('ERR_KEEPER_NO_LOGS', 'cloister logs --enclave-name hello')
    expect((await host.shell(`${open} "$(seq -s, 10001 2 10401)"`)).status).toBe(0)
    // Refused by the keeper, whose error it is.
    await sees('ERR_VSOCK_PORTS', `${open} "$(seq -s, 20001 2 20401)"`)
    await sees('ERR_KEEPER_CONTROL', `${open} 1`, enclave.ProcessID)
    await sees('ERR_VSOCK_CONTROL', `${open} 1`, enclave.Processes['vsock card'])
    await host.json('stop', '--enclave-name', 'hello', '--timeout', '0')
    await host.json('stop', '--enclave-name', 'hello')
  })

  test('that a guest is silent, or dies, or cannot prepare the app', async () => {
    const mute = await host.buildMute()
    await fails(
      'ERR_BOOT_TIMEOUT',
      `cloister run --eif-path '${mute}' --memory 128 --boot-timeout 2`,
    )
    const broken = `cloister run --eif-path out.eif --memory 128`
    await fails('ERR_BOOT_DIED', () => {
      const init = file('init', '#!/nowhere\n', 0o755)
      return `${buildHello('--init', init)} > /dev/null; ${broken}`
    })
    await fails(
      'ERR_BOOT_AGENT',
      `${buildImage('--rootfs', helloRootfs, '--entrypoint', '/no/such')} > /dev/null; ${broken}`,
    )
  })

  test('that the start was given up, or that its keeper was killed', async () => {
    const mute = await host.buildMute()
    const start = (then: string): string => `cloister run --eif-path '${mute}' --memory 128 & pid=$!
      until cloister list | grep -q STARTING; do sleep 0.1; done; ${then} >/dev/null 2>&1; wait $pid`
    const stop = 'cloister stop --all --timeout 0'
    look('ERR_PROCESS_ABANDONED', await host.shell(start(stop)), 'cloister run')
    const kill = `kill -9 $(cloister list | sed -n 's/.*ProcessID": //p' | tr -d ,)`
    look('ERR_KEEPER_DIED', await host.shell(start(kill)), 'cloister run')
    await host.shell('cloister list > /dev/null; cloister stop --enclave-name mute > /dev/null')
    expect(host.leftovers()).toEqual([])
  })
})

test('every code is provoked here or elsewhere, or has a reason why it cannot be', () => {
  const accounted = [...seen, ...Object.keys(elsewhere), ...Object.keys(notProvoked)]
  expect(Object.keys(errorTable).filter((code) => !accounted.includes(code))).toEqual([])
  for (const [code, path] of Object.entries(elsewhere)) {
    expect(readFileSync(join(import.meta.dirname, '..', path), 'utf8'), path).toContain(code)
  }
})
