// The host's end of an enclave's vsock, as a program of the host sees it: the CONNECT protocol of
// Firecracker's vsock, and what servers do with a stream.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'

/** Dials a port of the guest; rejects when the connection is closed instead of answered. */
export async function dialGuest(path: string, port: number): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true })
  await once(socket, 'connect')
  socket.write(`CONNECT ${String(port)}\n`)
  const line = await readLine(socket)
  if (!/^OK \d+$/.test(line)) throw new Error(`refused: ${JSON.stringify(line)}`)
  return socket
}

/** Reads up to the first line feed, or to the end; what follows goes back into the socket. */
function readLine(socket: Socket): Promise<string> {
  let line = Buffer.alloc(0)
  return new Promise((fulfil) => {
    const settle = (end: number) => {
      socket.off('data', onData).off('close', onEnd).off('end', onEnd).pause()
      if (line.length > end + 1) socket.unshift(line.subarray(end + 1))
      fulfil(line.subarray(0, end).toString())
    }
    const onData = (bytes: Buffer) => {
      line = Buffer.concat([line, bytes])
      if (line.includes(0x0a)) settle(line.indexOf(0x0a))
    }
    const onEnd = () => settle(line.length)
    socket.on('data', onData).on('close', onEnd).on('end', onEnd)
  })
}

/** Calls `take` for every piece up to the end of the stream; rejects when it is cut off. */
function drain(socket: Socket, take: (bytes: Buffer) => void): Promise<void> {
  return new Promise((fulfil, reject) => {
    socket.on('data', take).on('end', fulfil).on('error', reject)
    socket.on('close', () => reject(new Error('closed before its end')))
    socket.resume()
  })
}

/** Everything to the end of the stream. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  await drain(socket, (bytes) => chunks.push(bytes))
  return Buffer.concat(chunks)
}

export interface Digest {
  readonly bytes: number
  readonly crc32: number
}

/** Counts a stream to its end without keeping it. */
export async function digest(socket: Socket): Promise<Digest> {
  let total = { bytes: 0, crc32: 0 }
  await drain(socket, (chunk) => {
    total = { bytes: total.bytes + chunk.length, crc32: crc32(chunk, total.crc32) }
  })
  return total
}

/** Reads to the end, then answers with the digest: half-close, then reply. */
export async function serveDigest(socket: Socket): Promise<void> {
  socket.end(JSON.stringify(await digest(socket)))
}

/** Sends everything back as it comes, then the end. */
export function serveEcho(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.pipe(socket)
}

const period = 1_000_003

/** The bytes that the guest program calls the pattern. */
export function pattern(bytes: number): Buffer {
  const once = Buffer.alloc(Math.min(bytes, period))
  for (let i = 0; i < once.length; i++) once[i] = Math.imul(i, 2_654_435_761) >>> 24
  return Buffer.alloc(bytes, once)
}

/** Writes `data` in pieces of `chunk` bytes, as fast as they are taken, then the end. */
export async function writeInChunks(socket: Socket, data: Buffer, chunk: number): Promise<void> {
  for (let at = 0; at < data.length; at += chunk) {
    if (!socket.write(data.subarray(at, at + chunk))) await once(socket, 'drain')
  }
  socket.end()
}
