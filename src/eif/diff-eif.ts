// What distinguishes two images: which section, which file in which ramdisk, and which PCRs that moves.

import { createHash, type Hash } from 'node:crypto'

import type { ByteSource } from '../files/index.ts'
import { FileList, type ListedFile } from './file-list.ts'
import type { SectionType } from './layout.ts'
import { readEif, type Eif } from './read-eif.ts'
import type { EifSection } from './section-table.ts'

export type PcrName = 'PCR0' | 'PCR1' | 'PCR2' | 'PCR8'

/** A file that differs between two ramdisks, or is in one of them alone. */
export interface FileDifference {
  /** One character per byte. */
  readonly name: string
  /** Undefined: the file is in the other image alone. */
  readonly a: ListedFile | undefined
  readonly b: ListedFile | undefined
}

/** What of a section is compared. */
export interface ComparedSection {
  /** Bytes. */
  readonly size: number
  /** Hexadecimal. */
  readonly sha384: string
}

/** A section that differs between two images, or is in one of them alone. */
export interface SectionDifference {
  readonly type: SectionType
  /** The how-manieth of its type, from 0. */
  readonly index: number
  readonly a: ComparedSection | undefined
  readonly b: ComparedSection | undefined
  /** The PCRs that its contents are measured into. */
  readonly pcrs: readonly PcrName[]
  /** Of a ramdisk: files that differ; undefined when they cannot be compared (FileList). */
  readonly files?: readonly FileDifference[]
}

/** Two images and everything in which they differ. */
export interface EifDifference {
  readonly a: Eif
  readonly b: Eif
  /** The PCRs whose values differ. */
  readonly pcrs: readonly PcrName[]
  readonly sections: readonly SectionDifference[]
  /** Whether the sections that both have come in another order: PCRs are measured in the file's. */
  readonly isReordered: boolean
  /** Whether the header's own fields differ: architecture, default memory and CPUs. No PCR has them. */
  readonly isHeaderChanged: boolean
}

/** All ramdisks of one image are unpacked no further than this. */
const MAX_UNPACKED_BYTES = 16 * 1024 ** 3

interface Contents extends ComparedSection {
  readonly section: EifSection
  readonly files: ReadonlyMap<string, ListedFile> | undefined
}

interface Inspected {
  readonly eif: Eif
  /** By type and index. */
  readonly contents: ReadonlyMap<string, Contents>
}

/**
 * Compares two images.
 * @throws whatever {@link readEif} throws of either
 */
export async function diffEifs(a: ByteSource, b: ByteSource): Promise<EifDifference> {
  const [left, right] = [await inspect(a), await inspect(b)]
  const keys = new Set([...left.contents.keys(), ...right.contents.keys()])
  const sections = [...keys].flatMap((key) =>
    compareSections(key, left.contents.get(key), right.contents.get(key)),
  )
  return {
    a: left.eif,
    b: right.eif,
    pcrs: changedPcrs(left.eif, right.eif),
    sections,
    isReordered: order(left, right) !== order(right, left),
    isHeaderChanged: headerOf(left.eif) !== headerOf(right.eif),
  }
}

async function inspect(source: ByteSource): Promise<Inspected> {
  const budget = { limitBytes: MAX_UNPACKED_BYTES, leftBytes: MAX_UNPACKED_BYTES }
  const open = new Map<EifSection, { readonly hash: Hash; readonly list: FileList | undefined }>()
  const eif = await readEif(source, async (section, chunk) => {
    const parts = open.get(section) ?? {
      hash: createHash('sha384'),
      list: section.type === 'ramdisk' ? new FileList(budget) : undefined,
    }
    open.set(section, parts)
    parts.hash.update(chunk)
    await parts.list?.push(chunk)
  })
  const contents = new Map<string, Contents>()
  const counts = new Map<SectionType, number>()
  for (const section of eif.sections) {
    const index = counts.get(section.type) ?? 0
    counts.set(section.type, index + 1)
    const { hash = createHash('sha384'), list } = open.get(section) ?? {}
    const files = section.size === 0 ? new Map<string, ListedFile>() : await list?.end()
    const sha384 = hash.digest('hex')
    contents.set(`${section.type}/${String(index)}`, { section, size: section.size, sha384, files })
  }
  return { eif, contents }
}

function compareSections(
  key: string,
  a: Contents | undefined,
  b: Contents | undefined,
): readonly SectionDifference[] {
  const section = a?.section ?? b?.section
  if (section === undefined || a?.sha384 === b?.sha384) return []
  const index = Number(key.split('/')[1])
  const files = section.type === 'ramdisk' ? compareRamdisks(a, b) : undefined
  return [
    {
      type: section.type,
      index,
      a: a && { size: a.size, sha384: a.sha384 },
      b: b && { size: b.size, sha384: b.sha384 },
      pcrs: measuredInto(section.type, index),
      ...(files && { files }),
    },
  ]
}

function compareRamdisks(
  a: Contents | undefined,
  b: Contents | undefined,
): readonly FileDifference[] | undefined {
  const none: ReadonlyMap<string, ListedFile> = new Map()
  const [left, right] = [a, b].map((side) => (side === undefined ? none : side.files))
  return left && right && compareFiles(left, right)
}

/** The files that differ between two lists by name, or are in one of them alone. */
export function compareFiles(
  left: ReadonlyMap<string, ListedFile>,
  right: ReadonlyMap<string, ListedFile>,
): readonly FileDifference[] {
  const names = [...new Set([...left.keys(), ...right.keys()])].sort()
  return names
    .map((name) => ({ name, a: left.get(name), b: right.get(name) }))
    .filter((pair) => JSON.stringify(pair.a) !== JSON.stringify(pair.b))
}

function measuredInto(type: SectionType, index: number): readonly PcrName[] {
  if (type === 'metadata') return []
  if (type === 'signature') return ['PCR8']
  return type === 'ramdisk' && index > 0 ? ['PCR0', 'PCR2'] : ['PCR0', 'PCR1']
}

function changedPcrs(a: Eif, b: Eif): readonly PcrName[] {
  const names = { PCR0: 'pcr0', PCR1: 'pcr1', PCR2: 'pcr2', PCR8: 'pcr8' } as const
  const value = ({ measurements }: Eif, key: 'pcr0' | 'pcr1' | 'pcr2' | 'pcr8'): string =>
    Buffer.from(measurements[key]?.pcr ?? []).toString('hex')
  return (Object.keys(names) as PcrName[]).filter(
    (name) => value(a, names[name]) !== value(b, names[name]),
  )
}

/** The sections that another image has too, in the order of this one. */
function order({ contents }: Inspected, other: Inspected): string {
  return [...contents.keys()].filter((key) => other.contents.has(key)).join()
}

function headerOf({ architecture, defaultMemoryBytes, defaultCpus }: Eif): string {
  return [architecture, defaultMemoryBytes, defaultCpus].join()
}
