// Enclave Image Format, version 4: read, write, measure, sign.

export { type Architecture, type SectionType } from './layout.ts'
export {
  measureBytes,
  measureIdentity,
  measureStream,
  type Measurement,
  type Measurements,
} from './measurements.ts'
export type { BuildMetadata, EifMetadata } from './metadata.ts'
export { MemoryMeter, type MemoryLoad } from './memory-meter.ts'
export { readEif, type Eif, type SectionSink } from './read-eif.ts'
export type { EifSection } from './section-table.ts'
export {
  contentOfBytes,
  writeEif,
  type Content,
  type EifInput,
  type WrittenEif,
} from './write-eif.ts'
export { parseSigner, signEif, type EifSigner } from './sign-eif.ts'
export {
  checkCertificateDates,
  parseSigningCertificate,
  type SigningCertificate,
} from './signing-certificate.ts'
