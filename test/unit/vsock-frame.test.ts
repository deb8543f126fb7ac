import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrame, readFrames } from '../../src/vsock/index.ts'

async function collect(
  chunks: readonly Uint8Array[],
  maxBytes = 64,
): Promise<readonly Uint8Array[]> {
  const stream = new PassThrough()
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  const frames: Uint8Array[] = []
  for await (const frame of readFrames(stream, maxBytes)) frames.push(frame)
  return frames
}

test('messages survive any split of the stream', async () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(messages, fc.array(fc.nat(40), { maxLength: 20 }), async (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(encodeFrame))
      const chunks: Uint8Array[] = []
      let from = 0
      for (const cut of cuts) {
        if (cut === 0) continue
        chunks.push(bytes.subarray(from, from + cut))
        from += cut
      }
      chunks.push(bytes.subarray(from))
      expect(await collect(chunks.filter((chunk) => chunk.length > 0))).toEqual(sent)
    }),
    { numRuns: 100 },
  )
})

test('refuses a message that announces more than the limit before it has arrived', async () => {
  await expect(collect([Uint8Array.of(0, 0, 0, 65)])).rejects.toMatchObject({
    code: 'ERR_VSOCK_FRAME',
  })
  await expect(collect([Uint8Array.of(255, 255, 255, 255)])).rejects.toMatchObject({
    code: 'ERR_VSOCK_FRAME',
  })
})

test('refuses a stream that ends inside a message', async () => {
  await expect(collect([Uint8Array.of(0, 0, 0, 2, 1)])).rejects.toMatchObject({
    code: 'ERR_VSOCK_FRAME',
  })
  await expect(collect([Uint8Array.of(0, 0)])).rejects.toMatchObject({ code: 'ERR_VSOCK_FRAME' })
})
