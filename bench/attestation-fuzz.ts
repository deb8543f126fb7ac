// Fuzz mode of the verifier: FUZZ=1000000 npx vitest run --config bench/vitest.fuzz.config.ts
// Makes a document with TPM evidence and lets scripts/fuzz.mjs damage it in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeCbor } from '../attestation/test/issuer/cbor-writer.ts'
import {
  makeChain,
  makePayload,
  makeSign1,
  NOW_MS,
  samplePcrs,
} from '../attestation/test/issuer/document.ts'
import { makeEvidence } from '../attestation/test/issuer/tpm-writer.ts'

const PROGRAM = join(import.meta.dirname, '../attestation/scripts/fuzz.mjs')

/** Runs the fuzzer over `count` inputs; rejects when it found anything. */
export async function fuzz(count: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'fuzz-'))
  const file = join(directory, 'seed.json')
  await writeFile(file, JSON.stringify(await makeSeed()))
  const child = spawn(process.execPath, [PROGRAM, file, String(count)], { stdio: 'inherit' })
  const [status] = (await once(child, 'close')) as [number | null]
  await rm(directory, { recursive: true })
  if (status !== 0) throw new Error(`the fuzzer ended with ${String(status)}`)
}

async function makeSeed() {
  const chain = await makeChain()
  const payload = encodeCbor(makePayload(chain, { nonce: new Uint8Array(32) }))
  const evidence = await makeEvidence(payload, samplePcrs(), chain.leaf.keys)
  const unprotectedHeader = new Map([['tpm', evidence]])
  const document = await makeSign1(payload, chain.leaf.keys, { unprotectedHeader })
  return {
    root: Buffer.from(chain.root.certificate).toString('base64'),
    atMs: NOW_MS,
    document: Buffer.from(document).toString('base64'),
  }
}
