import { expect, test } from 'vitest'
import { CloisterError } from '../../src/errors.ts'
import { hostFault, shortageHint } from '../../src/host-fault.ts'

const fault = (code: string): Error => Object.assign(new Error(`${code}: refused`), { code })

test.each([
  ['ENOSPC', 'ERR_KEEPER_DIRECTORY'],
  ['EACCES', 'ERR_KEEPER_DIRECTORY'],
  ['EMFILE', 'ERR_HOST_DESCRIPTORS'],
  ['ENOMEM', 'ERR_HOST_MEMORY'],
  ['EAGAIN', 'ERR_HOST_PROCESSES'],
])('%s of the host is %s, and keeps what the kernel said as its cause', (errno, code) => {
  expect(hostFault(fault(errno))).toMatchObject({ code, cause: { code: errno } })
})

test('what is not a fault of the host stays what it is', () => {
  expect(hostFault(new TypeError('x'))).toBeUndefined()
  expect(hostFault(fault('constructor'))).toBeUndefined()
  expect(
    hostFault(new CloisterError('ERR_EIF_CRC', 'x', { cause: fault('ENOSPC') })),
  ).toBeUndefined()
})

test('advice against a shortage is found however deep it lies in the causes', () => {
  const wrapped = new CloisterError('ERR_CHIP_TPM_START', 'x', {
    cause: new Error('y', { cause: fault('ENOSPC') }),
  })
  expect(shortageHint(wrapped)).toMatch(/^Free some space/)
  expect(
    shortageHint(new CloisterError('ERR_EIF_CRC', 'x', { cause: fault('ENOENT') })),
  ).toBeUndefined()
  const endless = new Error('round')
  endless.cause = endless
  expect(shortageHint(endless)).toBeUndefined()
})
