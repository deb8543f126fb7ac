// PCR values that were observed on AWS or published by others.

import { expect, test } from 'vitest'
import {
  computeContentPcr,
  computeImagePcrs,
  computeInstancePcr,
  computeRolePcr,
  computeSigningPcr,
} from '../src/index.ts'

const text = (value: string) => new TextEncoder().encode(value)

test('PCR3 of a role ARN is the value of tkhq/qos', async () => {
  expect(await computeRolePcr('arn:aws:iam::123456789012:role/Webserver')).toBe(
    '78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e6921e6',
  )
})

test('PCR4 of an instance id is the value in a real document', async () => {
  expect(await computeInstancePcr('i-07e25f3bada361dec')).toBe(
    '7021a47677bff47b7623ed573cb71326925d51773cb4f5af33f346d9ffceb3d6e2c4aa85f1e2b352e4b295ff22d16485',
  )
})

test('PCR2 of an image with one ramdisk is that of nothing, which is not zero', async () => {
  const { PCR0, PCR1, PCR2 } = await computeImagePcrs({
    kernel: text('k'),
    cmdline: text('c'),
    ramdisks: [text('r')],
  })
  expect(PCR2).toBe(
    '21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a',
  )
  expect(PCR0).toBe(PCR1)
  expect(PCR0).toBe(await computeContentPcr(text('kcr')))
})

test('PCR0 covers every ramdisk, PCR1 the first and PCR2 the others', async () => {
  const ramdisks = [text('1'), text('2'), text('3')]
  const pcrs = await computeImagePcrs({ kernel: text('k'), cmdline: text('c'), ramdisks })
  expect(pcrs).toEqual({
    PCR0: await computeContentPcr(text('kc123')),
    PCR1: await computeContentPcr(text('kc1')),
    PCR2: await computeContentPcr(text('23')),
  })
})

test('PCR8 is that of the certificate as contents', async () => {
  expect(await computeSigningPcr(text('der'))).toBe(await computeContentPcr(text('der')))
})
