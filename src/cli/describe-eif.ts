// cloister describe-eif: what is in an enclave image. As with nitro-cli's, a wrong checksum and a
// signature of another image are told by CheckCRC and SignatureCheck, and no error; run-enclave refuses
// both. The certificate's dates are printed and left to the reader to judge.

import type { EgressRule } from '../manifest/index.ts'
import { Command } from 'commander'

import { cmdlineSuffix } from '../vmm/index.ts'
import { certificateJson } from './certificate-json.ts'
import { measurementsJson } from './measurements-json.ts'
import { metadataJson } from './metadata-json.ts'
import { inspectEifFile, type ImageInspection } from './open-eif.ts'
import { printJson, printProgress } from './print.ts'

const EXAMPLE = `
Example:
  cloister describe-eif --eif-path hello.eif

Only the measurements, and Manifest, which PCR2 covers, are facts about the image. Name, version and
metadata are labels that no PCR covers. CmdlineAppended is what run-enclave appends to the command line of
an image built by AWS's tools, which names no virtio device. It is the same for all such images, and no PCR
measures it. Such an image gets /dev/nsm from AWS's driver in its kernel, which needs QEMU 10.2 or later.`

const NSM_OF_STOCK_IMAGE =
  'the NSM card, which needs QEMU 10.2 or later; with an older QEMU there is no /dev/nsm, ' +
  "unless the image's init is Cloister's agent"

export function describeEifCommand(): Command {
  return new Command('describe-eif')
    .requiredOption('--eif-path <file>', 'the enclave image')
    .addHelpText('after', EXAMPLE)
    .action(async ({ eifPath }: { readonly eifPath: string }) => {
      await describeEifFile(eifPath)
    })
}

/** Prints what describe-eif prints. */
export async function describeEifFile(path: string): Promise<void> {
  const inspection = await inspectEifFile(path)
  for (const { code, message, hint } of inspection.faults)
    printProgress(`Warning: ${code}: ${message}. ${hint}`)
  printJson(describe(inspection))
}

function describe({ eif, faults, manifest }: ImageInspection): object {
  const { metadata } = eif
  const suffix = cmdlineSuffix(eif.cmdline)
  const isSigned = eif.sections.some(({ type }) => type === 'signature')
  return {
    EifVersion: eif.version,
    Architecture: eif.architecture,
    Measurements: measurementsJson(eif.measurements),
    IsSigned: isSigned,
    ...(eif.signingCertificate && { SigningCertificate: certificateJson(eif.signingCertificate) }),
    ...(manifest !== undefined && { Manifest: manifestJson(manifest) }),
    CheckCRC: !faults.some(({ code }) => code === 'ERR_EIF_CRC'),
    ...(isSigned && { SignatureCheck: eif.signingCertificate !== undefined }),
    ImageName: metadata.imageName,
    ImageVersion: metadata.imageVersion,
    Metadata: metadataJson(metadata),
    Cmdline: eif.cmdline,
    ...(suffix !== '' && { CmdlineAppended: suffix, Nsm: NSM_OF_STOCK_IMAGE }),
    Sections: eif.sections.map(({ type, offset, size }) => ({
      Type: type,
      Offset: offset,
      Size: size,
    })),
  }
}

/** As the keys of cloister.yaml; a line may leave when it begins with one of the texts. */
function manifestJson(manifest: NonNullable<ImageInspection['manifest']>): object {
  const { name, version, memoryMib, cpus, ports, logs, egress, api, tls, restart } = manifest
  return {
    Name: name,
    Version: version,
    ...(memoryMib !== undefined && { MemoryMiB: memoryMib }),
    ...(cpus !== undefined && { CPUCount: cpus }),
    Ports: ports,
    Logs: { Stdout: logs.stdout, Stderr: logs.stderr },
    ...(egress !== undefined && {
      Egress: { Allow: egress.allow.map(ruleJson), Deny: egress.deny.map(ruleJson) },
    }),
    ...(api === true && { Api: true }),
    ...(tls !== undefined && { Tls: tls.map(({ port, to }) => ({ Port: port, To: to })) }),
    Restart: restart,
  }
}

function ruleJson({ host, cidr, ports, protocol, private: isPrivate }: EgressRule): object {
  return {
    ...(host !== undefined && { Host: host }),
    ...(cidr !== undefined && { Cidr: cidr }),
    ...(ports !== undefined && { Ports: ports }),
    ...(protocol !== undefined && { Protocol: protocol }),
    ...(isPrivate === true && { Private: true }),
  }
}
