// `npm run lab -- COMMAND`: runs a command of this checkout in a host with KVM, and ends as it ended.

import { parseArgs } from 'node:util'
import { Lab } from './lab.ts'

const HELP = `Usage: npm run lab -- [options] [--] COMMAND [ARGUMENT...]

Boots a host with KVM in software, with this checkout as built at /cloister, and runs COMMAND there.
Output and exit status are the command's; 124 when it took too long.

  --user NAME            root (default), lab (in group kvm) or outsider (in no other group)
  --uefi                 measured boot with UEFI firmware
  --tpm                  a TPM 2.0 with EK certificates: /dev/tpm0, /dev/tpmrm0
  --systemd              systemd is PID 1; COMMAND is the child of a service
  --no-user-namespaces   user.max_user_namespaces=0
  --module NAME          load a kernel module, for example vhost_vsock; repeat for more
  --root DIRECTORY       another Debian tree than this machine's own packages
  --files DIRECTORY      shown read-only at /files
  --disk FILE            a disk at /persistent that is there again next time; made when missing
  --memory MIB           memory of the host (default 4096)
  --timeout SECONDS      how long COMMAND may take (default 600)
  --console              show the host's console at the end, on standard error
  --help
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    user: { type: 'string' },
    uefi: { type: 'boolean' },
    tpm: { type: 'boolean' },
    systemd: { type: 'boolean' },
    'no-user-namespaces': { type: 'boolean' },
    module: { type: 'string', multiple: true },
    root: { type: 'string' },
    files: { type: 'string' },
    disk: { type: 'string' },
    memory: { type: 'string' },
    timeout: { type: 'string', default: '600' },
    console: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})

async function main(): Promise<number> {
  if (values.help === true || positionals.length === 0) {
    process.stderr.write(HELP)
    return values.help === true ? 0 : 64
  }
  await using lab = await Lab.start({
    uefi: values.uefi === true,
    tpm: values.tpm === true,
    systemd: values.systemd === true,
    userNamespaces: values['no-user-namespaces'] !== true,
    modules: values.module ?? [],
    rootTree: values.root,
    files: values.files,
    disk: values.disk,
    ...(values.memory === undefined ? {} : { memoryMib: Number(values.memory) }),
  })
  const result = await lab.run(positionals, {
    timeoutMs: Number(values.timeout) * 1000,
    onOutput: (stream, bytes) => process[stream].write(bytes),
    ...(values.user === undefined ? {} : { user: values.user }),
  })
  if (values.console === true) process.stderr.write(lab.console())
  return result.timedOut ? 124 : (result.status ?? 128)
}

// The kernel ends the host with this process; what lies in the temporary directory goes by `exit`.
for (const [signal, status] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const])
  process.once(signal, () => process.exit(status))

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`)
  return 1
})
