import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { partUsers } from '../../src/keeper/parts/part-users.ts'
import { checkUnusedIds, uidRange } from '../../src/subprocess/index.ts'
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

test('ids that a user, a group or a subordinate range has are refused, and free ones are not', async () => {
  await checkUnusedIds([1_900_000_000, 1_900_000_001])
  await expect(checkUnusedIds([1_900_000_000, 0])).rejects.toMatchObject({
    code: 'ERR_KEEPER_USERS',
  })
})

test('CLOISTER_UID_RANGE names the range, and one that is malformed or too small is refused', () => {
  const range = { first: 3_000_000_000, count: 20_000_000 }
  expect(uidRange({ CLOISTER_UID_RANGE: '3000000000:20000000' })).toEqual(range)
  for (const text of ['', 'x', '100000:65536', '0:20000000', '4294000000:20000000', '1:2:3'])
    expect(() => uidRange({ CLOISTER_UID_RANGE: text })).toThrow(/CLOISTER_UID_RANGE/)
})
