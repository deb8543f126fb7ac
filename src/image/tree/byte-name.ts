// Names of files as Linux has them: bytes, which need not be UTF-8. In memory they are strings with
// one character per byte (latin1): they compare and sort as their bytes do, and none is lost.

/** A name, path or link target, one character per byte. */
export type ByteName = string

/** The bytes of a name, one per character. */
export function bytesOfName(name: ByteName): Buffer {
  return Buffer.from(name, 'latin1')
}

/** The name as it is given on a command line or in a JSON document: text, of which the bytes are UTF-8. */
export function nameOfText(text: string): ByteName {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** For a message; bytes that are not UTF-8 become U+FFFD. */
export function showName(name: ByteName): string {
  return bytesOfName(name).toString('utf8')
}
