// Attestation documents from one enclave's NSM against the raw signing rate of the same TPM. A
// document carries two signatures of the TPM, its own and the quote's: about half is to be expected.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LeafRenewal, openHostChip, startVirtualTpm, type SoftwareTpm } from '../src/chip/index.ts'
import { createNsm, type Nsm } from '../src/nsm/index.ts'

interface DocumentRate {
  readonly claim: string
  readonly ours: string
  readonly peer: string
  readonly ratio: number
}

const ROUNDS = 5
const PER_ROUND = 200
// The request {"Attestation": {}}: a document without user data.
const ATTESTATION = Buffer.from('a16b4174746573746174696f6ea0', 'hex')
/** About as long as the Sig_structure of such a document. */
const MESSAGE = new Uint8Array(2900).fill(0x84)
const DIGEST = new Uint8Array(48).fill(1)

export async function run(): Promise<readonly DocumentRate[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'cloister-bench-'))
  try {
    await using tpm = await startVirtualTpm({ stateDir: join(scratch, 'tpm') })
    return [await compare(await nsmOf(tpm, join(scratch, 'state')), tpm)]
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function nsmOf(tpm: SoftwareTpm, stateDir: string): Promise<Nsm> {
  const chip = await openHostChip(stateDir)
  const moduleId = `${chip.instanceId}-enc0123456789abcdef`
  const leaves = new LeafRenewal((at) => chip.issueLeaf({ akSpki: tpm.ak.spki, moduleId, at }))
  const measurements = { pcr0: DIGEST, pcr1: DIGEST, pcr2: DIGEST, pcr4: chip.instanceId }
  return createNsm({
    ...{ tpm, moduleId, measurements, debug: false },
    leafAt: (at) => leaves.current(at),
  })
}

/** Both in turns, so that a slow moment of the machine meets both; the best round of each. */
async function compare(nsm: Nsm, tpm: SoftwareTpm): Promise<DocumentRate> {
  let [documents, signatures] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    documents = Math.max(documents, await rateOf(() => nsm.handle(ATTESTATION)))
    signatures = Math.max(signatures, await rateOf(() => tpm.sign(MESSAGE)))
  }
  return {
    claim: 'attestation documents with TPM evidence, one enclave (two signatures each: about 0.5)',
    ours: `${documents.toFixed(0)}/s`,
    peer: `raw TPM signatures: ${signatures.toFixed(0)}/s`,
    ratio: documents / signatures,
  }
}

async function rateOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  for (let done = 0; done < PER_ROUND; done++) await work()
  return (PER_ROUND * 1000) / (performance.now() - begin)
}
