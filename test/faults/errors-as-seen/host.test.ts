// Errors of the host as a person sees them: arguments, files, programs, CPUs, memory, the chip's state.
// See failing-host.ts.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { failingHost, type Row } from '../../fixtures/failing-host.ts'

const here = failingHost()

const run = 'cloister run --eif-path "$EIF" --memory 128'

/** Starts the example with another program in the place of one of ours. */
const runWith = (variable: string, program: string) => (): string =>
  `${variable}='${here.file('part', program, 0o755)}' cloister run --eif-path "$EIF" --memory 128`

/** Starts the example where swtpm is another program. */
function withSwtpm(body: string): string {
  return `printf '#!/bin/sh\n%s\n' '${body}' > swtpm.sh && chmod 755 swtpm.sh &&
    CLI='${here.host.cli}' unshare --mount bash -c 'mount --bind swtpm.sh "$(command -v swtpm)" &&
      "${process.execPath}" "$CLI" run --eif-path "$EIF" --memory 128'`
}

/** Starts the example in a state directory that was complete until `change`. */
function withState(change: string): string {
  return `export CLOISTER_STATE_DIR="$PWD/changed"
    CLOISTER_QEMU=/bin/false ${run} 2>/dev/null; ${change}; ${run}; s=$?
    rm -r "$CLOISTER_STATE_DIR"; exit $s`
}

const rows: readonly Row[] = [
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
    // As many as it can begin with, but not work with. How many that are differs from run to run: the first that fails counts.
    `n=44; while (ulimit -n $n; cloister describe-eif --eif-path "$EIF") > seen 2> said; s=$?; [ $s = 0 ]
    do n=$((n - 2)); done; cat seen; cat said >&2; exit $s`,
  ],
  ['ERR_HOST_DESCRIPTORS', 'too few descriptors for an enclave', `ulimit -n 1024; ${run}`],
  [
    'ERR_FILE_OUTPUT',
    'a full standard output',
    'mknod full c 1 7; cloister describe-eif --eif-path "$EIF" > full; s=$?; rm full; exit $s',
  ],
  ['ERR_FILE_TEMPORARY', 'a missing TMPDIR', 'TMPDIR=/no/such cloister demo'],
  ['ERR_KEEPER_DIRECTORY', 'a state directory that is a file', `CLOISTER_STATE_DIR=$EIF ${run}`],
  ['ERR_PROCESS_SPAWN', 'a missing QEMU', `CLOISTER_QEMU=/no/such ${run}`],
  ['ERR_VSOCK_PATH', 'a long path', `CLOISTER_RUNTIME_DIR=$PWD/${'x'.repeat(90)} ${run}`],
  ['ERR_VSOCK_PORTS', 'a malformed port list', `${run} --guest-ports 5005-`],
  ['ERR_VSOCK_HOST', 'a host without a vsock loopback', `${run} --vsock host`],
  ['ERR_VSOCK_KERNEL', 'a host without vhost-vsock', `${run} --vsock kernel`],
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
    runWith('CLOISTER_VSOCK_CARD', '#!/bin/bash\necho \'{"event":"ready"}\' >&3\nexec sleep 60\n'),
  ],
  [
    'ERR_VSOCK_CARD',
    'a card that hangs',
    runWith('CLOISTER_VSOCK_CARD', '#!/bin/bash\nexec sleep 60\n'),
  ],
  [
    'ERR_VMM_KVM',
    'a /dev/kvm that only root may open',
    `export CLI='${join(import.meta.dirname, '../../../bundle/cli/main.js')}'; touch private && chmod 600 private && unshare --mount bash -c '
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
  [
    'ERR_VMM_HUGE_PAGES',
    'more huge pages than are reserved',
    'cloister run --eif-path "$EIF" --memory 1G --huge-pages --accelerator tcg',
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
    () => `cloister run --config '${here.file('c.json', '{"cpu_count":1,"cpu_ids":[0]}')}'`,
  ],
  [
    'ERR_CONFIG_INCOMPLETE',
    'a --config file without an image',
    () => `cloister run --config '${here.file('c.json', '{}')}'`,
  ],
  ['ERR_KEEPER_MEMORY', 'too little memory', 'cloister run --eif-path "$EIF" --memory 1'],
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
]

describe('a person sees', () => {
  test.each(rows)('%s for %s', async (code, _what, script) => {
    await here.fails(code, script)
  })

  test('that parent serves a name that nobody has yet, and no id that nobody has', async () => {
    const { status, stderr } = await here.host.shell(
      'cloister parent --enclave-name nobody -- true',
    )
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: 'Note: no enclave named nobody is running; it is served once it starts.\n',
    })
    await here.fails('ERR_KEEPER_NO_SUCH_ENCLAVE', 'cloister parent --enclave-id i-0-enc0 -- true')
  })

  test('what a card, QEMU and swtpm said last', async () => {
    const words = "'#!/bin/sh\\necho my last words >&2; exit 1\\n'"
    for (const [variable, code] of [
      ['CLOISTER_VSOCK_CARD', 'ERR_VSOCK_CARD'],
      ['CLOISTER_QEMU', 'ERR_VMM_START'],
    ] as const) {
      const script = `printf ${words} > part; chmod 755 part; ${variable}=$PWD/part ${run}`
      expect((await here.fails(code, script)).stderr).toContain('my last words')
    }
    const silent = await here.fails('ERR_VMM_START', `CLOISTER_QEMU=/bin/false ${run}`)
    expect(silent.stderr).toMatch(/exit status 1[^]*What to do: .*CLOISTER_QEMU/)
    const { stderr } = await here.fails(
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
      const result = await here.host.shell(
        `export CLI='${here.host.cli}' EIF='${here.eif}'\n${full(variable)}`,
      )
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
      const { stderr, status } = await here.host.shell(script)
      expect(status).toBe(39)
      expect(stderr).toMatch(/^ {2}path: \/no\/such\.eif$/m)
      expect(stderr).toMatch(/^Caused by: ENOENT: /m)
      expect(stderr).toMatch(/^ {2}\| +at /m)
      expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^What to do: /)
    }
  })
})
