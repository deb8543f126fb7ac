// Many connections of one enclave through its network: at once, in turn, and with readers that wait.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { guestProgram } from '../fixtures/guest-program.ts'
import { makeHostTree } from '../fixtures/host-tree.ts'
import { addShell, inGuest } from '../fixtures/network/guest-shell.ts'
import { TestHost, type DescribedEnclave } from '../host.ts'

let host: TestHost
let server: ChildProcess
let port: string
let enclave: DescribedEnclave

beforeAll(async () => {
  host = new TestHost()
  const program = await guestProgram('net-load')
  server = spawn(program, ['serve'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = (await once(server.stdout ?? server, 'data')) as [Buffer]
  port = line.toString('latin1').trim()
  const root = host.path('root')
  makeHostTree(root, { programs: ['bash', 'socat', 'cat'] })
  cpSync(program, join(root, 'usr/bin/net-load'))
  addShell(root)
  const manifest = host.path('cloister.yaml')
  const rule = `{ host: host.cloister.internal, ports: [${port}], private: true }`
  writeFileSync(
    manifest,
    `{ cloister: 1, name: crowd, version: '1', source: { rootfs: root }, run: { entrypoint: [/serve-shell] },
       egress: { allow: [${rule}] } }\n`,
  )
  const eif = host.path('crowd.eif')
  await host.json('build-enclave', '--manifest', manifest, '--output-file', eif)
  enclave = await host.start(eif, '--memory', '512')
})

afterAll(async () => {
  server.kill()
  await host[Symbol.asyncDispose]()
})

const load = async (command: string, count: number): Promise<Readonly<Record<string, number>>> => {
  const script = `ulimit -n 8192; net-load ${command} 198.18.0.1:${port} ${count}`
  return JSON.parse(await inGuest(enclave.VsockSocket, script)) as Record<string, number>
}

const residentMib = (): number => {
  const pid = enclave.Processes['network card']
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

test('1,900 connections are open at once, and each still answers', async () => {
  expect(await load('hold', 1900)).toMatchObject({ held: 1900 })
  expect(residentMib()).toBeLessThan(64)
})

test('3,000 connections in turn leave nothing behind', async () => {
  expect(await load('connect', 3000)).toHaveProperty('perSecond')
  const flows = async (): Promise<number | undefined> => {
    const described = (await host.describe(enclave.EnclaveID)) as { Network?: { Flows?: number } }
    return described.Network?.Flows
  }
  await expect.poll(flows).toBe(0)
  expect(residentMib()).toBeLessThan(64)
})
