// `npm run bench`: every claim in one run, printed as a table. Nothing is asserted: these are
// measurements of whatever machine they run on.

import { test } from 'vitest'
import * as attestation from './attestation.ts'
import * as imageBuild from './image-build.ts'
import * as imageLayer from './image-layer.ts'
import * as kernelFlavours from './kernel-flavours.ts'
import * as kms from './kms.ts'
import * as launch from './launch.ts'
import * as network from './network.ts'
import * as nsmDocuments from './nsm-documents.ts'
import * as rootKinds from './root-kinds.ts'
import { formatRows, type BenchRow } from './row.ts'
import * as vsockCard from './vsock-card.ts'

const benches = {
  attestation,
  launch,
  kernelFlavours,
  rootKinds,
  nsmDocuments,
  imageBuild,
  imageLayer,
  vsockCard,
  network,
  kms,
}

test('bench', { timeout: 3_600_000 }, async () => {
  const rows: BenchRow[] = []
  for (const bench of Object.values(benches)) rows.push(...(await bench.run()))
  process.stdout.write(`\n${formatRows(rows)}\n`)
})
