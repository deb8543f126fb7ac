// Errors of a running enclave, or one that starts, as a person sees them. See failing-host.ts.

import { beforeAll, describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../../src/error-table.ts'
import { failingHost } from '../../fixtures/failing-host.ts'
import { expectReported } from '../../fixtures/reported-error.ts'
import { helloRootfs, type CliResult, type DescribedEnclave } from '../../host.ts'

const here = failingHost()

const buildHello = (program: string, ...words: readonly string[]): string =>
  `cloister build-enclave --output-file out.eif --rootfs ${helloRootfs} --entrypoint ${program} ${words.join(' ')}`

describe('of a running enclave, or one that starts, a person sees', () => {
  let enclave: DescribedEnclave

  beforeAll(async () => {
    enclave = await here.host.start(here.eif)
  })

  async function stopped(pid: number | undefined, script: string): Promise<CliResult> {
    process.kill(pid ?? 0, 'SIGSTOP')
    try {
      return await here.host.shell(script)
    } finally {
      process.kill(pid ?? 0, 'SIGCONT')
    }
  }

  test('that a port is closed, that it has no console, and which part does not answer', async () => {
    const open = 'cloister open-ports --enclave-name hello --guest-ports'
    const sees = async (code: ErrorCode, script: string, pid?: number): Promise<void> => {
      expectReported(
        code,
        await (pid === undefined ? here.host.shell(script) : stopped(pid, script)),
        script,
      )
    }
    await sees(
      'ERR_VSOCK_CONNECT',
      'cloister connect --enclave-name hello --port 1 --timeout 0 < /dev/null',
    )
    await sees('ERR_KEEPER_NO_CONSOLE', 'cloister console --enclave-name hello')
    const sameCid = `--enclave-cid ${String(enclave.EnclaveCID)}`
    await sees(
      'ERR_KEEPER_CID',
      `cloister run --eif-path '${here.eif}' --memory 128 ${sameCid} --accelerator tcg`,
    )
    await sees('ERR_VSOCK_LISTEN', 'cloister forward --enclave-name hello -L 192.0.2.1:80:5005')
    await sees('ERR_VSOCK_LISTEN', 'cloister forward --enclave-name hello -L /no/such/x:5005')
    await sees('ERR_KEEPER_WAIT', 'cloister wait --enclave-name hello --timeout 0')
    await sees('ERR_KEEPER_NO_LOGS', 'cloister logs --enclave-name hello')
    expect((await here.host.shell(`${open} "$(seq -s, 10001 2 10401)"`)).status).toBe(0)
    // Refused by the keeper, whose error it is.
    await sees('ERR_VSOCK_PORTS', `${open} "$(seq -s, 20001 2 20401)"`)
    await sees('ERR_KEEPER_CONTROL', `${open} 1`, enclave.ProcessID)
    await sees('ERR_VSOCK_CONTROL', `${open} 1`, enclave.Processes['vsock card'])
    await here.host.json('stop', '--enclave-name', 'hello', '--timeout', '0')
    await here.host.json('stop', '--enclave-name', 'hello')
  })

  test('that a guest is silent, or dies, or cannot prepare the app', async () => {
    const mute = await here.host.buildMute()
    await here.fails(
      'ERR_BOOT_TIMEOUT',
      `cloister run --eif-path '${mute}' --memory 128 --boot-timeout 2`,
    )
    const broken = `cloister run --eif-path out.eif --memory 128`
    await here.fails('ERR_BOOT_DIED', () => {
      const init = here.file('init', '#!/nowhere\n', 0o755)
      return `${buildHello('/hello', '--init', init)} > /dev/null; ${broken}`
    })
    await here.fails('ERR_BOOT_AGENT', `${buildHello('/no/such')} > /dev/null; ${broken}`)
  })

  test('that the start was given up, or that its keeper was killed', async () => {
    const mute = await here.host.buildMute()
    const start = (then: string): string => `cloister run --eif-path '${mute}' --memory 128 & pid=$!
      until cloister list | grep -q STARTING; do sleep 0.1; done; ${then} >/dev/null 2>&1; wait $pid`
    const stop = 'cloister stop --all --timeout 0'
    expectReported('ERR_PROCESS_ABANDONED', await here.host.shell(start(stop)), 'cloister run')
    const kill = `kill -9 $(cloister list | sed -n 's/.*ProcessID": //p' | tr -d ,)`
    expectReported('ERR_KEEPER_DIED', await here.host.shell(start(kill)), 'cloister run')
    await here.host.shell(
      'cloister list > /dev/null; cloister stop --enclave-name mute > /dev/null',
    )
    expect(here.host.leftovers()).toEqual([])
  })
})
