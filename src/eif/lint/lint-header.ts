// The rules for the header and the section table: format description, sections 1 and 7.

import { EIF_VERSION, FLAG_AARCH64, HEADER, MAGIC, MAX_SECTIONS } from '../layout.ts'
import { PLATFORMS, type Findings } from './findings.ts'

/** A section as its own header describes it. */
export interface FoundSection {
  /** As in the file; 1 to 5 are defined. */
  readonly type: number
  /** File offset of the section header. */
  readonly offset: number
  /** As the section header has it. */
  readonly size: number
}

/** Checks the header's own fields; returns the number of sections to look at. */
export function lintHeader(header: DataView, findings: Findings): number {
  const { error, warning } = bind(findings)
  if (header.getUint32(HEADER.magic) !== MAGIC)
    error('magic', ['qemu', 'cloister'], 'the file does not begin with ".eif"')
  const version = header.getUint16(HEADER.version)
  const versionText = `the version is ${String(version)}, not 4`
  if (version < EIF_VERSION) error('version', ['qemu', 'cloister'], versionText)
  else if (version > EIF_VERSION) error('version', ['cloister'], versionText)
  const flags = header.getUint16(HEADER.flags)
  if (flags > FLAG_AARCH64)
    error('flags', ['qemu', 'cloister'], `unknown header flags: ${String(flags)}`)
  else if (flags === FLAG_AARCH64)
    error('architecture', ['qemu'], 'the image is for aarch64; QEMU and run-enclave run x86_64')
  const rest = [header.getUint16(HEADER.reserved), header.getUint32(HEADER.unused)]
  if (rest.some((value) => value !== 0)) error('reserved', ['cloister'], 'a reserved field is set')
  const count = header.getUint16(HEADER.sectionCount)
  if (count > MAX_SECTIONS)
    error('section-count', PLATFORMS, `there are ${String(count)} sections, at most 32 are allowed`)
  if (count < 3) warning('section-count', PLATFORMS, `there are only ${String(count)} sections`)
  return Math.min(count, MAX_SECTIONS)
}

/** Checks a row of the table against the section header, and against the section before it. */
export function lintRow(
  header: DataView,
  index: number,
  { section, end }: { readonly section: FoundSection; readonly end: number },
  findings: Findings,
): void {
  const { error, warning } = bind(findings)
  const inTable = Number(header.getBigUint64(HEADER.sectionSizes + 8 * index))
  const name = `section ${String(index)}`
  const sizes = `${name}: the table says ${String(inTable)} bytes, the section ${String(section.size)}`
  if (inTable !== section.size && section.type === 4) {
    error(
      'signature-size',
      ['qemu'],
      `${sizes}: nitro-cli signed the image again; sign-eif repairs it`,
    )
  } else if (inTable !== section.size) error('section-size', ['qemu', 'cloister'], sizes)
  if (section.offset !== end)
    error('section-gap', ['aws', 'cloister'], `${name} does not begin where the one before it ends`)
  if (section.type === 0 || section.type > 5)
    error('section-type', ['aws', 'cloister'], `${name} has the type ${String(section.type)}`)
  if (section.type === 4 && section.size > 32768)
    error('signature-length', PLATFORMS, `${name}: a signature section has at most 32768 bytes`)
  if (section.size === 0 && section.type === 3)
    error('ramdisk-empty', ['qemu'], `${name}: the ramdisk is empty`)
  if (section.size === 0 && section.type === 1)
    error('kernel-empty', PLATFORMS, 'the kernel is empty')
  if (section.size === 0 && section.type === 2)
    warning('cmdline-empty', ['aws'], 'the command line is empty')
}

const TYPE_NAMES = ['', 'kernel', 'cmdline', 'ramdisk', 'signature', 'metadata']

/** Checks which sections there are, and their order. */
export function lintSections(sections: readonly FoundSection[], findings: Findings): void {
  const { error, warning } = bind(findings)
  const types = sections.map(({ type }) => type)
  const count = (type: number): number => types.filter((it) => it === type).length
  for (const type of [1, 2, 3]) {
    if (count(type) === 0)
      error('section-missing', PLATFORMS, `the ${TYPE_NAMES[type] ?? ''} section is missing`)
  }
  if (count(5) === 0)
    error('section-missing', ['aws', 'cloister'], 'the metadata section is missing')
  for (const type of [1, 2, 4, 5]) {
    const message = `more than one ${TYPE_NAMES[type] ?? ''} section`
    if (count(type) > 1) error('section-repeated', PLATFORMS, message)
  }
  if (count(1) > 0 && count(3) > 0 && types.indexOf(3) < types.indexOf(1))
    error('section-order', ['aws', 'cloister'], 'a ramdisk comes before the kernel')
  const usual = [...types].sort((a, b) => PLACE.indexOf(a) - PLACE.indexOf(b))
  if (types.join() !== usual.join())
    warning(
      'section-order',
      PLATFORMS,
      "not in the order of AWS's writer (kernel, cmdline, metadata, ramdisks, signature): PCRs are measured in the file's order",
    )
}

/** The order of AWS's writer, as types. */
const PLACE = [1, 2, 5, 3, 4]

function bind(findings: Findings): Pick<Findings, 'error' | 'warning'> {
  return { error: findings.error.bind(findings), warning: findings.warning.bind(findings) }
}
