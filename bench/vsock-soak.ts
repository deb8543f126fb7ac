// A long run through the card: 20 GiB there and back, in writes of mixed sizes on several streams
// at once. The guest compares every byte that comes back with what it sent.

import { Guest, VsockBackEnd } from '../test/fixtures/vsock-card/vsock-card-guest.ts'
import { serveEcho } from '../test/fixtures/vsock-card/vsock-card-host.ts'
import type { BenchRow } from './row.ts'

const totalBytes = 20 * 2 ** 30
const writeSizes = [1000, 4096, 65_536, 262_144, 1_048_576]
const echoPort = 7000

export async function run(): Promise<readonly BenchRow[]> {
  await using card = new VsockBackEnd('card', ['--parent-ports', 'all'])
  await using guest = await Guest.start(card)
  await card.listen(echoPort, serveEcho)
  const start = performance.now()
  const bytes = Math.floor(totalBytes / writeSizes.length)
  const mirrored = await Promise.all(
    writeSizes.map((size) =>
      guest.command<{ readonly bytes: number }>('mirror', 3, echoPort, bytes, size),
    ),
  )
  const received = mirrored.reduce((sum, { bytes }) => sum + bytes, 0)
  const seconds = (performance.now() - start) / 1000
  const row: BenchRow = {
    claim: '20 GiB there and back, compared byte by byte (all of it: 1)',
    ours: `${String(received)} bytes in ${seconds.toFixed(0)} s, ${resident(card)} MiB resident`,
    peer: `sent ${String(bytes * writeSizes.length)} bytes`,
    ratio: received / (bytes * writeSizes.length),
  }
  process.stdout.write(`${row.claim}: ${row.ours}, ${row.peer}\n`)
  return [row]
}

function resident(card: VsockBackEnd): string {
  return (card.residentBytes() / 2 ** 20).toFixed(1)
}
