import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkKvm, probeAccelerator } from '../../src/vmm/index.ts'

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-kvm-'))
  writeFileSync(join(directory, 'kvm'), '')
  chmodSync(join(directory, 'kvm'), 0o660)
  writeFileSync(join(directory, 'private'), '')
  chmodSync(join(directory, 'private'), 0o600)
  writeFileSync(join(directory, 'intel'), 'processor\t: 0\nflags\t\t: fpu vme vmx smx\n')
  writeFileSync(join(directory, 'amd'), 'flags\t\t: fpu svm\n')
  writeFileSync(join(directory, 'guest'), 'flags\t\t: fpu vme svmlock\nvmx flags\t: none\n')
})

afterAll(() => {
  rmSync(directory, { recursive: true })
})

function probe(kvm: string, cpuinfo: string): ReturnType<typeof probeAccelerator> {
  return probeAccelerator({ kvmDevice: join(directory, kvm), cpuinfo: join(directory, cpuinfo) })
}

test.each(['intel', 'amd'])('KVM is used where the device opens and the CPU is %s', (cpu) => {
  expect(probe('kvm', cpu).accelerator).toBe('kvm')
})

test('a device that opens is not enough: the CPU must have vmx or svm', () => {
  expect(probe('kvm', 'guest')).toMatchObject({ accelerator: 'tcg' })
  expect(probe('kvm', 'guest').reason).toMatch(/neither vmx nor svm/)
})

test('a device that only root may open is of no use to a QEMU that is not root', () => {
  const isRoot = process.getuid?.() === 0
  expect(probe('private', 'intel').accelerator).toBe(isRoot ? 'tcg' : 'kvm')
})

test('KVM that cannot run a guest is refused where it is asked for, with what to do', () => {
  const paths = (kvm: string, cpu: string): Parameters<typeof checkKvm> => [
    { kvmDevice: join(directory, kvm), cpuinfo: join(directory, cpu) },
  ]
  checkKvm(...paths('kvm', 'intel'))
  for (const [kvm, cpu, advice] of [
    ['absent', 'intel', /load kvm_intel/],
    ['kvm', 'guest', /--accelerator tcg/],
  ] as const) {
    const refused = expect.objectContaining({
      code: 'ERR_VMM_KVM',
      hint: expect.stringMatching(advice) as string,
    }) as Error
    expect(() => checkKvm(...paths(kvm, cpu))).toThrow(refused)
  }
})

test('without the device, TCG is used and the reason names the device', () => {
  expect(probe('absent', 'intel').accelerator).toBe('tcg')
  expect(probe('absent', 'intel').reason).toContain('absent')
})
