import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { partUsers } from '../../src/keeper/parts/part-users.ts'
import { confine } from '../../src/subprocess/index.ts'

test('QEMU keeps the group of /dev/kvm when it is to use it, and no other', () => {
  const { qemu } = partUsers('kvm', true)
  const group = statSync('/dev/kvm', { throwIfNoEntry: false })?.gid
  expect(qemu.groups).toEqual(group === undefined ? [] : [group])
  expect(confine(['qemu'], { uid: 7, groups: [108] })).toContain('--groups=108')
  expect(confine(['qemu'], partUsers('tcg', true).qemu)).toContain('--clear-groups')
})

test('the parts of one enclave are five different users, none of them root', () => {
  const { qemu, chip, swtpm, vsockCard, nsmCard } = partUsers('tcg', true)
  const uids = [qemu, chip, swtpm, vsockCard, nsmCard].map(({ uid }) => uid)
  expect(new Set(uids).size).toBe(5)
  for (const uid of uids) expect(uid).toBeGreaterThan(1_879_048_192)
})
