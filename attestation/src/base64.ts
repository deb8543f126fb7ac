// Base64 and base64url (RFC 4648 sections 4 and 5).

/** Base64url text of bytes, without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** Bytes of base64 or base64url text, padded or not; undefined when it is neither. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return undefined
  const base64 = text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')
  if (base64.length % 4 === 1) return undefined
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}
