// Where an image comes from, as a statement that others can check by building it again.

export {
  MAX_STATEMENT_BYTES,
  readProvenance,
  writeProvenance,
  type BuildParameters,
  type Provenance,
  type Resource,
} from './statement.ts'
