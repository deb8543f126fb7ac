// A secret sealed to the host chip, and a counter in it: what keeps the key broker's master key.

import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  defineNewCounter,
  hostChipStorage,
  incrementCounter,
  readCounter,
  sealData,
  undefineCounter,
  unsealData,
} from '../../src/chip/index.ts'
import { defineCounter } from '../../src/chip/tpm/nv-counter.ts'
import { codeOf } from '../fixtures/code-of.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts'

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory[Symbol.asyncDispose]())

const secret = Buffer.from('a secret of the broker')

it('opens on the chip that sealed it and on no other, and not when it was changed', async () => {
  const chip = await hostChipStorage(directory.join('one'))
  const sealed = await chip((tpm) => sealData(tpm, secret))
  expect(Buffer.from(sealed.privateBlob).includes(secret)).toBe(false)
  expect(Buffer.from(await chip((tpm) => unsealData(tpm, sealed)))).toEqual(secret)
  const other = await hostChipStorage(directory.join('two'))
  expect(await codeOf(other((tpm) => unsealData(tpm, sealed)))).toBe('ERR_CHIP_TPM_RC')
  const privateBlob = sealed.privateBlob.slice()
  privateBlob[40] = (privateBlob[40] ?? 0) ^ 1
  expect(await codeOf(chip((tpm) => unsealData(tpm, { ...sealed, privateBlob })))).toBe(
    'ERR_CHIP_TPM_RC',
  )
})

it('counts up only, also when the counter is deleted and made again', async () => {
  const chip = await hostChipStorage(directory.join('state'))
  const [index, first] = await chip(async (tpm) => {
    const made = await defineNewCounter(tpm)
    return [made, (await readCounter(tpm, made)) ?? 0n]
  })
  await chip((tpm) => incrementCounter(tpm, index))
  expect(await chip((tpm) => readCounter(tpm, index))).toBe(first + 1n)
  await chip((tpm) => undefineCounter(tpm, index))
  expect(await chip((tpm) => readCounter(tpm, index))).toBeUndefined()
  await chip((tpm) => defineCounter(tpm, index))
  expect(await chip((tpm) => readCounter(tpm, index))).toBeGreaterThan(first + 1n)
})
