// Enclave Image Format, version 4: read, write, measure, sign.

export { checkCmdlineLength } from './cmdline.ts'
export type { Architecture, SectionType } from './layout.ts'
export {
  measureBytes,
  measureIdentity,
  measureStream,
  type Measurement,
  type Measurements,
} from './measurements.ts'
export { parseCustomMetadata, type BuildMetadata, type EifMetadata } from './metadata.ts'
export { FirstFile, findRamdisk } from './first-file.ts'
export { CpioReader, FILE_TYPE, type CpioEntry } from './cpio-reader.ts'
export { MemoryMeter, type MemoryLoad } from './memory-meter.ts'
export { encodeVolumeLoad, VOLUMES_FILE, type VolumeLoad } from './volume-load.ts'
export { inspectEif, readEif, type Eif, type EifInspection, type SectionSink } from './read-eif.ts'
export type { EifSection } from './section-table.ts'
export {
  contentOfBytes,
  writeEif,
  type Content,
  type EifInput,
  type WrittenEif,
} from './write-eif.ts'
export { deterministicKey } from './deterministic-key.ts'
export { exportToBeSigned, signCopyOfEif, signEif, type SignedOutput } from './sign-eif.ts'
export { makeSigner, type EifSigner, type SigningKey } from './signer.ts'
export type { SigningAlgorithm } from './signing-algorithm.ts'
export {
  checkCertificateDates,
  parseSigningCertificate,
  type SigningCertificate,
} from './signing-certificate.ts'
export {
  compareFiles,
  diffEifs,
  type EifDifference,
  type FileDifference,
  type SectionDifference,
} from './diff-eif.ts'
export type { ListedFile } from './file-list.ts'
export type { LintFinding, Platform } from './lint/findings.ts'
export { lintEif } from './lint/lint-eif.ts'
