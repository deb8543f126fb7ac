// cloister describe-eif: what is in an enclave image. Unlike nitro-cli's, it ends with an error on
// an image that is damaged or wrongly signed, so that CheckCRC and SignatureCheck are always true
// where they are printed. The certificate's dates are printed and left to the reader to judge.

import { Command } from 'commander'

import type { Eif } from '../eif/index.ts'
import { cmdlineSuffix } from '../vmm/index.ts'
import { certificateJson } from './certificate-json.ts'
import { measurementsJson } from './measurements-json.ts'
import { metadataJson } from './metadata-json.ts'
import { readEifFile } from './open-eif.ts'
import { printJson } from './print.ts'

const EXAMPLE = `
Example:
  cloister describe-eif --eif-path hello.eif

Only the measurements are a statement about the image; name, version and metadata are labels that
no PCR covers. CmdlineAppended is what run-enclave appends to the command line of an image of AWS's
own tools, which names no virtio device; it is the same for all of them, and measured by no PCR. Such
an image has /dev/nsm from AWS's driver in its kernel, and that needs QEMU 10.2 or later.`

const NSM_OF_STOCK_IMAGE =
  'the NSM card, which needs QEMU 10.2 or later; under an older one there is none, ' +
  "unless the image's init is the agent of Cloister"

export function describeEifCommand(): Command {
  return new Command('describe-eif')
    .requiredOption('--eif-path <file>', 'the enclave image')
    .addHelpText('after', EXAMPLE)
    .action(async ({ eifPath }: { readonly eifPath: string }) => {
      const eif = await readEifFile(eifPath)
      printJson(describe(eif))
    })
}

function describe(eif: Eif): object {
  const { metadata } = eif
  const suffix = cmdlineSuffix(eif.cmdline)
  return {
    EifVersion: eif.version,
    Architecture: eif.architecture,
    Measurements: measurementsJson(eif.measurements),
    IsSigned: eif.signingCertificate !== undefined,
    ...(eif.signingCertificate && { SigningCertificate: certificateJson(eif.signingCertificate) }),
    CheckCRC: true,
    ...(eif.signingCertificate && { SignatureCheck: true }),
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
