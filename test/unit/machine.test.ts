// A QEMU that does not come up: it has an owner from its first moment, and a deadline.

import { chmodSync, closeSync, openSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identifyProcess, type ManagedProcess } from '../../src/subprocess/index.ts'
import { Machine } from '../../src/vmm/index.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory
let vsock: Socket
let fd: number

beforeEach(async () => {
  directory = await temporaryDirectory()
  const server = createServer().listen(directory.join('card.sock'))
  await once(server, 'listening')
  vsock = connect(directory.join('card.sock'))
  await once(vsock, 'connect')
  server.close()
  fd = openSync('/dev/null', 'r')
})

afterEach(async () => {
  closeSync(fd)
  await directory[Symbol.asyncDispose]()
})

function start(program: string, own: (process: ManagedProcess) => Promise<unknown>) {
  return Machine.start({
    program,
    confinement: {},
    vsock,
    kernelFd: fd,
    initrdFd: fd,
    own,
    timeoutMs: 300,
    spec: {
      accelerator: 'tcg',
      memoryMib: 64,
      cpuCount: 1,
      cpuIds: [],
      cmdline: '',
      serialPort: 'none',
      nsmCard: false,
    },
  })
}

function mute(): string {
  const program = directory.join('mute')
  writeFileSync(program, '#!/bin/sh\nexec sleep 60\n')
  chmodSync(program, 0o755)
  return program
}

test('a QEMU that never speaks is owned before, and ended in time', async () => {
  const owned: ManagedProcess[] = []
  const own = (process: ManagedProcess): Promise<unknown> => Promise.resolve(owned.push(process))
  await expect(start(mute(), own)).rejects.toMatchObject({ code: 'ERR_VMM_START' })
  expect(owned.map(({ pid }) => identifyProcess(pid))).toEqual([undefined])
  expect(vsock.destroyed).toBe(true)
})

test('a QEMU whose owner ends it while it starts is not waited for', async () => {
  const own = (process: ManagedProcess): Promise<unknown> => process[Symbol.asyncDispose]()
  await expect(start(mute(), own)).rejects.toMatchObject({ code: 'ERR_VMM_START' })
})

test('a QEMU that is not there leaves no connection to the vsock card', async () => {
  const own = (): Promise<unknown> => Promise.resolve()
  const missing = start(directory.join('nowhere'), own)
  await expect(missing).rejects.toMatchObject({ code: 'ERR_PROCESS_SPAWN' })
  expect(vsock.destroyed).toBe(true)
})
