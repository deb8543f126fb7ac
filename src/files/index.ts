// Files that the user named: regular ones are read, within a bound; outputs are complete or absent.

export { readFileArgument } from './file-argument.ts'
export {
  chunksOf,
  passingChunksOf,
  sourceOfBytes,
  sourceOfFile,
  type ByteSink,
  type ByteSource,
} from './byte-source.ts'
export { openInputFile, type InputFile } from './input-file.ts'
export { Leftover } from './leftover.ts'
export { makeDirectory } from './make-directory.ts'
export { namingFile } from './naming-file.ts'
export { writeOutputFile, type OutputFile } from './output-file.ts'
export { checkInputPath, readInputFile, readStandardInput, type ReadOptions } from './read-input.ts'
export { Spool } from './spool.ts'
export { temporaryDirectory, type TemporaryDirectory } from './temporary-directory.ts'
