// What `--config-data` reads, and the bytes that PCR16 is extended with.

import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeCbor } from '@cloister/attestation/cbor'
import { expect, test } from 'vitest'
import { readConfigData } from '../../src/enclaves/index.ts'
import { callCloister } from '../fixtures/in-process-cli.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'

const sha384 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha384')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

async function directoryOf(files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const directory = join(await makeScratch(), 'config')
  mkdirSync(directory)
  for (const [name, contents] of Object.entries(files))
    writeFileSync(join(directory, name), contents)
  return directory
}

test('a file is a byte string, whatever its name', async () => {
  const path = join(await makeScratch(), 'settings')
  writeFileSync(path, 'abc')
  const { encoded, pcr16, bytes, names } = readConfigData(path)
  expect(Buffer.from(encoded).toString('latin1')).toBe('\x43abc')
  expect(Buffer.from(pcr16)).toEqual(sha384(new Uint8Array(48), sha384(encoded)))
  expect({ bytes, names }).toEqual({ bytes: 3, names: undefined })
  writeFileSync(path, '')
  expect([...readConfigData(path).encoded]).toEqual([0x40])
})

test('a directory is a map in the order of deterministic CBOR', async () => {
  const files = { z: '1', aa: '', b: 'x'.repeat(300), ä: '2', [`n${'n'.repeat(254)}`]: '3' }
  const { encoded, bytes, names } = readConfigData(await directoryOf(files))
  // The verifier's own strict decoder takes it, and has the same files.
  const decoded = decodeCbor(encoded)
  expect(decoded).toEqual(
    new Map(
      Object.entries(files).map(([name, text]) => [name, Uint8Array.from(Buffer.from(text))]),
    ),
  )
  expect(names).toEqual(['b', 'z', 'aa', 'ä', `n${'n'.repeat(254)}`])
  expect(bytes).toBe(303)
  // Python's hashlib over the bytes that RFC 8949 asks for, without any of our code.
  const script = `import hashlib, sys
def head(major, n):
    return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else bytes([major << 5 | 25]) + n.to_bytes(2, "big")
files = {"z": b"1", "aa": b"", "b": b"x" * 300, "\\u00e4": b"2", "n" * 255: b"3"}
items = sorted((head(3, len(k.encode())) + k.encode(), v) for k, v in files.items())
data = head(5, len(items)) + b"".join(k + head(2, len(v)) + v for k, v in items)
print(hashlib.sha384(bytes(48) + hashlib.sha384(data).digest()).hexdigest())`
  const { pcr16 } = readConfigData(await directoryOf(files))
  const python = execFileSync('python3', ['-c', script], { encoding: 'utf8' }).trim()
  expect(Buffer.from(pcr16).toString('hex')).toBe(python)
})

test('a file and a directory of the same bytes are told apart', async () => {
  const directory = await directoryOf({ a: '1' })
  const { encoded, pcr16 } = readConfigData(directory)
  const file = join(directory, 'a')
  writeFileSync(file, encoded)
  expect(readConfigData(file).pcr16).not.toEqual(pcr16)
})

test('64 KiB are taken and one byte more is not, with names where there are some', async () => {
  const files = await directoryOf({ a: new Uint8Array(65_535) })
  const file = join(files, 'a')
  expect(readConfigData(files).encoded).toHaveLength(65_535 + 1 + 2 + 3)
  writeFileSync(file, new Uint8Array(65_536))
  expect(readConfigData(file).encoded).toHaveLength(65_536 + 5)
  const tooLarge = expect.objectContaining({ code: 'ERR_CONFIG_DATA' }) as Error
  expect(() => readConfigData(files)).toThrow(tooLarge)
  writeFileSync(file, new Uint8Array(65_537))
  expect(() => readConfigData(file)).toThrow(tooLarge)
})

test.each<[string, (directory: string) => void]>([
  ['a directory', (directory) => mkdirSync(join(directory, 'sub'))],
  ['a link', (directory) => symlinkSync('/etc/passwd', join(directory, 'link'))],
  ['a FIFO', (directory) => execFileSync('mkfifo', [join(directory, 'fifo')])],
  ['a name with a line end', (directory) => writeFileSync(join(directory, 'a\nb'), '')],
  [
    'a name that is not UTF-8',
    (directory) => writeFileSync(Buffer.from(`${directory}/\xff`, 'latin1'), ''),
  ],
  [
    '257 files',
    (directory) => {
      for (let n = 0; n < 257; n++) writeFileSync(join(directory, String(n)), '')
    },
  ],
])('a directory with %s is refused', async (_, spoil) => {
  const directory = await directoryOf({ good: '1' })
  spoil(directory)
  const refused = expect.objectContaining({ code: 'ERR_CONFIG_DATA' }) as Error
  expect(() => readConfigData(directory)).toThrow(refused)
})

test('`pcr --config-data` prints PCR16, and refuses what does not exist', async () => {
  const directory = await directoryOf({ a: '1' })
  const { status, stdout } = await callCloister(['pcr', '--config-data', directory])
  const pcr16 = Buffer.from(readConfigData(directory).pcr16).toString('hex')
  expect({ status, printed: JSON.parse(stdout) as unknown }).toEqual({
    status: 0,
    printed: { PCR16: pcr16 },
  })
  const missing = await callCloister(['pcr', '--config-data', join(directory, 'none')])
  expect(missing).toMatchObject({ status: 19, stdout: '' })
  expect(missing.stderr).toContain('ERR_CONFIG_DATA')
})
