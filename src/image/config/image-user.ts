// Turns an image's user into numbers, with the image's own /etc/passwd and /etc/group: the rules
// of image-spec config.md ("User"), and of Docker where those leave something open.

import { CloisterError, check } from '../../errors.ts'
import type { ResolvedUser } from './run-config.ts'
import { findTarget } from '../tree/follow-path.ts'
import type { Directory } from '../tree/tree.ts'
import { UnpackBudget } from '../tree/unpack-budget.ts'

interface PasswdLine {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

interface GroupLine {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

const MAX_DATABASE_BYTES = 1024 * 1024
const MAX_ID = 0x7fff_ffff

/**
 * Resolves `user[:group]`, each a name or a number; empty means root. Without a group, the user's
 * own and the groups that list the user count; with one, that group alone.
 * @throws ERR_IMAGE_USER when a name is not in the image's databases
 */
export async function resolveUser(root: Directory, text: string): Promise<ResolvedUser> {
  const [userText = '', groupText = ''] = text.split(':')
  const users = (await readDatabase(root, 'passwd')).flatMap(parsePasswdLine)
  const groups = (await readDatabase(root, 'group')).flatMap(parseGroupLine)
  const user = findUser(users, userText === '' ? '0' : userText)
  if (groupText !== '') {
    return { uid: user.uid, gid: findGroup(groups, groupText), groups: [] }
  }
  const memberOf = groups.filter(({ members }) => user.name !== '' && members.includes(user.name))
  const supplementary = new Set(memberOf.map(({ gid }) => gid))
  return { uid: user.uid, gid: user.gid, groups: [...supplementary].sort((a, b) => a - b) }
}

function findUser(users: readonly PasswdLine[], text: string): PasswdLine {
  const id = parseId(text)
  const user = users.find(({ name, uid }) => name === text || uid === id)
  if (user !== undefined) return user
  if (id === undefined) throw unknown('user', text)
  return { name: '', uid: id, gid: 0 }
}

function findGroup(groups: readonly GroupLine[], text: string): number {
  const id = parseId(text)
  const group = groups.find(({ name, gid }) => name === text || gid === id)?.gid ?? id
  if (group === undefined) throw unknown('group', text)
  return group
}

async function readDatabase(root: Directory, name: string): Promise<readonly string[][]> {
  const node = findTarget(root, ['etc', name], new UnpackBudget())
  if (node?.kind !== 'file') return []
  const { size } = node.content
  check(size <= MAX_DATABASE_BYTES, 'ERR_IMAGE_LIMIT', `/etc/${name} is too long`, {
    details: { size, limit: MAX_DATABASE_BYTES },
  })
  const chunks: Uint8Array[] = []
  for await (const chunk of node.content.chunks()) chunks.push(Uint8Array.from(chunk))
  const lines = Buffer.concat(chunks).toString('utf8').split('\n')
  return lines.filter((line) => !line.startsWith('#')).map((line) => line.trim().split(':'))
}

/** One line, or none when it is malformed: other readers skip those too. */
function parsePasswdLine([name = '', , uidText = '', gidText = '']: string[]): PasswdLine[] {
  const uid = parseId(uidText)
  const gid = parseId(gidText)
  return name === '' || uid === undefined || gid === undefined ? [] : [{ name, uid, gid }]
}

function parseGroupLine([name = '', , gidText = '', members = '']: string[]): GroupLine[] {
  const gid = parseId(gidText)
  return name === '' || gid === undefined ? [] : [{ name, gid, members: members.split(',') }]
}

function parseId(text: string): number | undefined {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  return id <= MAX_ID ? id : undefined
}

function unknown(kind: 'user' | 'group', name: string): CloisterError {
  return new CloisterError('ERR_IMAGE_USER', `the image has no ${kind} ${name}`, {
    details: { [kind]: name },
  })
}
