// The main job once, end to end: build the example image, run it, ask the app inside for a document
// over a fresh nonce, verify it against the chip's root and the image's measurements, stop.

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { verifyAttestation, type Attestation } from '@cloister/attestation'
import { decodePem } from '@cloister/attestation/x509'
import { Command } from 'commander'
import { CloisterError } from '../errors.ts'
import { buildImage, openPlatformBlobs } from '../image/index.ts'
import {
  endEnclave,
  launchRequest,
  Registry,
  Timeline,
  vsockSocketPath,
  type RunningEnclave,
} from '../enclaves/index.ts'
import { temporaryDirectory } from '../files/index.ts'
import { isRunning } from '../subprocess/index.ts'
import { noPorts } from '../vsock/index.ts'
import { developmentRootPath } from './enclave-json.ts'
import { HELLO_PORT, requestDocument } from './hello-client.ts'
import { measurementsJson } from './measurements-json.ts'
import { pcrTable, timelineTable } from './demo-tables.ts'
import { printProgress } from './print.ts'
import { chooseAccelerator, launch } from './run-enclave.ts'
import type { RunOptions } from './run-options.ts'
import { acceleratorOption } from './arguments.ts'

const NONCE_BYTES = 32
const MEMORY_MIB = 128

export function demoCommand(): Command {
  return new Command('demo')
    .addOption(acceleratorOption())
    .addHelpText('after', '\nExample:\n  cloister demo\n')
    .action(demo)
}

type DemoOptions = Pick<RunOptions, 'accelerator'>

async function demo(options: DemoOptions): Promise<void> {
  using scratch = temporaryDirectory('demo')
  await runDemo(scratch.path, options)
}

async function runDemo(scratch: string, { accelerator: wanted }: DemoOptions): Promise<void> {
  const timeline = new Timeline()
  const eifPath = join(scratch, 'hello.eif')
  const { measurements } = await timeline.measure('build the image', () => buildHello(eifPath))
  const { accelerator, notes } = chooseAccelerator(wanted)
  for (const note of notes) printProgress(note)
  const request = launchRequest({
    eifPath,
    memoryMib: MEMORY_MIB,
    ports: { ...noPorts, guestPorts: String(HELLO_PORT) },
    accelerator,
  })
  const enclave = await timeline.measure('run it', () => launch(request))
  const registry = new Registry(request.directories.runtime)
  const interrupted = (): void => {
    const { keeper } = enclave.record
    if (isRunning(keeper)) process.kill(keeper.pid, 'SIGTERM')
  }
  process.once('exit', interrupted)
  let attestation: Attestation
  try {
    const root = decodePem(readFileSync(developmentRootPath(request.directories.state), 'utf8'))
    const nonce = randomBytes(NONCE_BYTES)
    const document = await timeline.measure('get a document from the app', () =>
      requestDocument(vsockSocketPath(registry.directory(enclave.record.id)), nonce),
    )
    attestation = await timeline.measure('verify the document', () =>
      verifyAttestation(document, {
        roots: [root],
        nonce,
        measurements: { ...measurementsJson(measurements) },
        tpmEvidence: 'require',
      }),
    )
  } finally {
    await timeline.measure('stop the enclave', () => endEnclave(registry, enclave.record, 0))
    process.off('exit', interrupted)
  }
  registry.remove(enclave.record)
  report(attestation, enclave, timeline)
}

async function buildHello(output: string): ReturnType<typeof buildImage> {
  const rootfs = fileURLToPath(new URL('../../build/hello/rootfs', import.meta.url))
  if (!existsSync(rootfs)) {
    throw new CloisterError(
      'ERR_DEMO_APP',
      `the example app is not built: ${rootfs} does not exist`,
    )
  }
  printProgress('Start building the Enclave Image...')
  return buildImage({
    source: { kind: 'directory', path: rootfs },
    blobs: await openPlatformBlobs(
      fileURLToPath(new URL('../../build/blobs', import.meta.url)),
      {},
    ),
    config: { entrypoint: ['/hello'] },
    output,
    name: 'hello',
  })
}

function report(
  attestation: Attestation,
  { record, timeline: boot }: RunningEnclave,
  timeline: Timeline,
): void {
  process.stdout.write(`
The document verifies: signed by ${attestation.moduleId},
certified by the chip of this host (${attestation.assurance}), over the nonce that was sent.

${pcrTable(attestation.pcrs)}

${timelineTable(timeline.steps, boot)}

Accelerator: ${record.description.accelerator}. Assurance: ${attestation.assurance}.
`)
  if (attestation.assurance === 'software-tpm') {
    process.stdout.write(
      "A software TPM is for development: this host's root user could have forged it.\n",
    )
  }
}
