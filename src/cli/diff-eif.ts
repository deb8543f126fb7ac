// cloister diff-eif: what distinguishes two images, and which PCRs that moves.

import { Command } from 'commander'

import type { FileDifference, ListedFile, SectionDifference } from '../eif/index.ts'
import { diffImages, type ImageDifference } from '../image/index.ts'
import { measurementsJson } from './measurements-json.ts'
import { printJson } from './print.ts'

const EXAMPLE = `
Example:
  cloister diff-eif hello.eif other.eif

Exit status: 0 if the images have the same contents, 1 if they differ, another value on error.
Each differing section is listed with the PCRs it is measured into, and a ramdisk with its differing files
and what differs in each. RootFiles lists the differing files of compressed root file systems
(rootfs.squashfs). A ramdisk is compared as a whole, without a list of files, if it is not a sequence
of cpio archives (raw or gzip), contains a name twice, or has contents or attributes for a second link.`

/** As diff(1). */
const STATUS_DIFFERENT = 1

export function diffEifCommand(): Command {
  return new Command('diff-eif')
    .argument('<image-a>', 'an enclave image')
    .argument('<image-b>', 'another one')
    .addHelpText('after', EXAMPLE)
    .action(async (a: string, b: string) => {
      const difference = await diffImages(a, b)
      const { sections, isReordered, isHeaderChanged } = difference
      const isSame = sections.length === 0 && !isReordered && !isHeaderChanged
      printJson(describe(difference, isSame))
      if (!isSame) process.exitCode = STATUS_DIFFERENT
    })
}

function describe(difference: ImageDifference, isSame: boolean): object {
  const { a, b, pcrs, sections, isReordered, isHeaderChanged, rootFiles } = difference
  return {
    Identical: isSame,
    ChangedPCRs: pcrs,
    Measurements: { A: measurementsJson(a.measurements), B: measurementsJson(b.measurements) },
    ...(isHeaderChanged && { HeaderChanged: true }),
    ...(isReordered && { SectionsReordered: true }),
    Sections: sections.map(sectionJson),
    ...(rootFiles && { RootFiles: rootFiles.map(fileJson) }),
  }
}

function sectionJson({ type, index, a, b, pcrs, files }: SectionDifference): object {
  const side = (it: SectionDifference['a']): object | null =>
    it === undefined ? null : { Size: it.size, SHA384: it.sha384 }
  return {
    Type: type,
    ...(type === 'ramdisk' && { Index: index }),
    MeasuredInto: pcrs,
    A: side(a),
    B: side(b),
    ...(files && { Files: files.map(fileJson) }),
  }
}

function fileJson({ name, a, b }: FileDifference): object {
  // Names are bytes; here they are shown as UTF-8.
  const path = name === '' ? '/' : text(name)
  if (a === undefined || b === undefined)
    return { Path: path, Change: a === undefined ? 'added' : 'removed' }
  const changes = KEYS.filter(([key]) => a[key] !== b[key]).map(([key, label]) => [
    label,
    { A: shown(key, a), B: shown(key, b) },
  ])
  return { Path: path, Change: 'changed', ...(Object.fromEntries(changes) as object) }
}

const KEYS = [
  ['mode', 'Mode'],
  ['uid', 'Uid'],
  ['gid', 'Gid'],
  ['mtime', 'Mtime'],
  ['size', 'Size'],
  ['sha384', 'SHA384'],
  ['target', 'Target'],
  ['xattrs', 'Xattrs'],
] as const satisfies readonly (readonly [keyof ListedFile, string])[]

function shown(key: keyof ListedFile, file: ListedFile): string | number {
  if (key === 'mode') return file.mode.toString(8)
  return key === 'target' ? text(file.target) : (file[key] ?? '')
}

function text(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
