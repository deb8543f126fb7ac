// `npm run bench`: every claim in one run, printed as a table; `npm run bench -- -t rootKinds` is one of
// them. Nothing is asserted: these are measurements of whatever machine they run on.

import { afterAll, test } from 'vitest'
import * as attestation from './attestation.ts'
import * as awsImageFormat from './aws-image-format.ts'
import * as imageBuild from './image-build.ts'
import * as imageLayer from './image-layer.ts'
import * as imageMemory from './image-memory.ts'
import * as kernelFlavours from './kernel-flavours.ts'
import * as kms from './kms.ts'
import * as launch from './launch.ts'
import * as network from './network.ts'
import * as nsmDocuments from './nsm-documents.ts'
import * as parallelStarts from './parallel-starts.ts'
import * as rootKinds from './root-kinds.ts'
import { formatRows, type BenchRow } from './row.ts'
import * as vsockCard from './vsock-card.ts'

const benches = {
  attestation,
  launch,
  parallelStarts,
  kernelFlavours,
  rootKinds,
  nsmDocuments,
  awsImageFormat,
  imageBuild,
  imageLayer,
  imageMemory,
  vsockCard,
  network,
  kms,
}

const rows: BenchRow[] = []

afterAll(() => {
  process.stdout.write(`\n${formatRows(rows)}\n`)
})

test.each(Object.entries(benches))('%s', { timeout: 3_600_000 }, async (_, bench) => {
  rows.push(...(await bench.run()))
})
