// However a guest ends, its enclave has ended soon after, and the record says why.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { AWS_CMDLINE, buildAwsImage } from '../fixtures/aws-image.ts'
import { guestProgram } from '../fixtures/guest-program.ts'
import { helloRootfs, recentQemu, TestHost, type DescribedEnclave } from '../host.ts'

const OUR_CMDLINE =
  'reboot=t panic=-1 console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12 no_timer_check'

let host: TestHost

beforeAll(() => {
  host = new TestHost()
})

afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** An image whose PID 1 is the probe, which ends its guest in some way. */
async function image(how: string, cmdline = OUR_CMDLINE): Promise<string> {
  const source = ['--rootfs', helloRootfs, '--entrypoint', '/hello']
  const init = ['--init', await guestProgram('probe')]
  return host.build(how, ...source, ...init, '--cmdline', `${cmdline} hostile-agent ${how}`)
}

/** How an enclave has ended. Its guest does so a second after its start. */
async function end({ EnclaveID }: DescribedEnclave, on = host): Promise<DescribedEnclave['End']> {
  const state = async (): Promise<string> => (await on.describe(EnclaveID)).State
  await expect.poll(state, { interval: 500 }).toBe('TERMINATED')
  return (await on.describe(EnclaveID)).End
}

test.each([
  ['halt', ['--cpu-count', '2']],
  ['power-off', []],
])('a guest that ends by %s has ended', async (how, args) => {
  const enclave = await host.start(await image(how), ...args)
  expect(await end(enclave)).toMatchObject({
    First: 'guest',
    Reason: expect.stringContaining('halted') as string,
  })
})

test('an app that has exited has ended, although its agent leaves the machine running', async () => {
  const enclave = await host.start(await image('exited'))
  expect(await end(enclave)).toMatchObject({ First: 'app', ExitCode: 7 })
})

test("a start that fails is told in the agent's words, although the machine runs on", async () => {
  const run = ['run-enclave', '--eif-path', await image('failed'), '--memory', '128']
  const result = await host.run(...run)
  expect(result).toMatchObject({ status: 39, stdout: '' })
  expect(result.stderr).toContain('ERR_BOOT_AGENT')
  expect(result.stderr).toContain('could not mount the moon: it is made of cheese')
})

test('a stock AWS image whose app halts the machine has ended, without an agent that could say so', async () => {
  await using recent = new TestHost({ CLOISTER_QEMU: recentQemu() })
  const enclave = await recent.start(await buildAwsImage(recent, 'probe', 'halt'))
  expect(await end(enclave, recent)).toMatchObject({ First: 'guest' })
})

test("a stock image's kernel that panics has ended at once, although its own command line has it loop", async () => {
  const cmdline = AWS_CMDLINE.replace('nomodules ', '').replace('panic=30', 'panic=0')
  const enclave = await host.start(await image('exit', cmdline))
  expect(await end(enclave)).toMatchObject({ First: 'guest' })
})
