// A cpio archive ("newc") for one static program: what a kernel needs to start it as PID 1.

import { readFileSync } from 'node:fs'

interface Member {
  readonly name: string
  readonly mode: number
  readonly body?: Buffer
  /** Major and minor number of a device node. */
  readonly device?: readonly [number, number]
}

/** The archive with `/init`, `/dev/console` and `/dev/null`. */
export function ramdiskOf(program: string): Buffer {
  const members: readonly Member[] = [
    { name: 'dev', mode: 0o040755 },
    { name: 'dev/console', mode: 0o020600, device: [5, 1] },
    { name: 'dev/null', mode: 0o020666, device: [1, 3] },
    { name: 'init', mode: 0o100755, body: readFileSync(program) },
    { name: 'TRAILER!!!', mode: 0 },
  ]
  return Buffer.concat(members.map(encodeMember))
}

function encodeMember(member: Member, index: number): Buffer {
  const body = member.body ?? Buffer.alloc(0)
  const [major, minor] = member.device ?? [0, 0]
  const name = Buffer.from(`${member.name}\0`)
  const fields = [index, member.mode, 0, 0, 1, 0, body.length, 0, 0, major, minor, name.length, 0]
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(body)])
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
