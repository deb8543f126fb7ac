// Writes the big-endian structures of a TPM 2.0 command: integers and TPM2B_ (u16 length + bytes).
// TPM 2.0 Library, Part 2 "Structures".

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value)
}

/** 2 bytes, big-endian; higher bits of `value` are dropped. */
export function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2)
  new DataView(bytes.buffer).setUint16(0, value)
  return bytes
}

/** 4 bytes, big-endian; higher bits of `value` are dropped. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

/** A TPM2B: u16 length, then the bytes. */
export function sized16(bytes: Uint8Array): Uint8Array {
  return concat(u16(bytes.length), bytes)
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}
