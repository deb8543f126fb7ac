// cloister extract-eif: the parts of an image as files.

import { Command } from 'commander'

import { extractImage } from '../image/index.ts'
import { measurementsJson } from './measurements-json.ts'
import { printJson } from './print.ts'

const EXAMPLE = `
Example:
  cloister extract-eif --eif-path hello.eif --output-dir parts

Writes kernel, cmdline, metadata.json, ramdisk0, ramdisk1, ..., rootfs.squashfs if the root file system is
compressed and, of a signed image, signature.cbor and signing-certificate.pem. The directory is created only
if the whole image is valid. Ramdisks are not unpacked: cpio -t < parts/ramdisk1 lists the contents of one,
unsquashfs -ll parts/rootfs.squashfs those of the root file system (Debian: apt install squashfs-tools).`

export function extractEifCommand(): Command {
  return new Command('extract-eif')
    .requiredOption('--eif-path <file>', 'the enclave image')
    .requiredOption('--output-dir <dir>', 'the directory to create; an existing one must be empty')
    .addHelpText('after', EXAMPLE)
    .action(async (flags: { readonly eifPath: string; readonly outputDir: string }) => {
      const { eif, files } = await extractImage(flags.eifPath, flags.outputDir)
      printJson({ Measurements: measurementsJson(eif.measurements), Files: files })
    })
}
