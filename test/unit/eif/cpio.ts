// Small cpio archives, made by hand.

export interface CpioFile {
  readonly name: string
  readonly bytes: Uint8Array
  /** Type and permissions; a regular file's by default. */
  readonly mode?: number
}

/** A "newc" archive of these files. */
export function archiveOf(files: readonly CpioFile[]): Uint8Array {
  return Buffer.concat([...files, { name: 'TRAILER!!!', bytes: new Uint8Array() }].flatMap(member))
}

function member({ name, bytes, mode = 0o100644 }: CpioFile): readonly Uint8Array[] {
  const fields = [0, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, Buffer.byteLength(name) + 1, 0]
  const header = '070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join('')
  return [padded(Buffer.from(`${header}${name}\0`)), padded(bytes)]
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, new Uint8Array((4 - (bytes.length % 4)) % 4)])
}
