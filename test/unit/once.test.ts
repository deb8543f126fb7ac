import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { nextLine, nextText, once } from '../fixtures/once.ts'

const shell = (script: string): ChildProcess => spawn('sh', ['-c', script])

test('the next line of a process is there whole, also when it comes in parts', async () => {
  const child = shell('printf wo; sleep 0.1; echo rd; echo more')
  expect(await nextLine(child)).toBe('word')
})

test('a wait for a line of a process that ends says how it ended, and what it said', async () => {
  const child = shell('printf word; echo the reason >&2; exit 3')
  await expect(nextLine(child)).rejects.toThrow(
    /after "word": it ended with 3, and said the reason/,
  )
  await expect(nextLine(child)).rejects.toThrow(/it ended with 3/)
  await expect(nextText(shell('kill -9 $$'), 'x')).rejects.toThrow(/it ended with SIGKILL/)
})

test('the end of a process that is over is not waited for', async () => {
  const child = shell('exit 7')
  child.stdout?.resume()
  child.stderr?.resume()
  expect(await once(child, 'close')).toEqual([7, null])
  expect(await once(child, 'close')).toEqual([7, null])
  expect(await once(child, 'exit')).toEqual([7, null])
})

test('a wait for bytes of a connection that is closed fails, before and after', async () => {
  const server = createServer((socket) => socket.end())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await expect(once(socket, 'data')).rejects.toThrow(/'data' of Socket did not come before 'end'/)
  await once(socket, 'close')
  await expect(once(socket, 'data')).rejects.toThrow(/'data' of Socket cannot come/)
  server.close()
})

test('a wait has an end', async () => {
  await expect(once(new EventEmitter(), 'never', 10)).rejects.toThrow(/did not come in 0.01 s/)
})
