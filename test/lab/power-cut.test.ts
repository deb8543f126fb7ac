// Power cuts while the host chip is made and used: the persistent disk is copied at many moments as a
// cut would leave it, its journal replayed, and the chip opened from what is there.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bash } from './commands.ts'
import { Lab } from './lab.ts'
import { repository } from './repository.ts'

/** At most so many; when there are more, every other one is dropped and they come half as often. */
const MOMENTS = 32
const FIRST_PAUSE_MS = 500
const CHIP_USER = 'test/fixtures/host-chip-user.mjs'
const LEAVES = '8'

let directory: string
/** State directories in the order of their moments; empty before there was one. */
const states: string[] = []
let final: ChipUse

interface ChipUse {
  readonly instanceId: string
  readonly root: string
  readonly certificates: readonly string[]
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cloister-lab-test-'))
  const disk = join(directory, 'disk')
  await using lab = await Lab.start({ disk })
  const node = ['node', join('/cloister', CHIP_USER), '/persistent/state', LEAVES]
  const work = lab.run(node)
  const ended = work.then(() => true)
  let photographs: readonly string[] = []
  let pauseMs = FIRST_PAUSE_MS
  // The last one comes after the end, when the chip is there, however long each of its parts took.
  for (let moment = 0, isOver = false; ; moment++) {
    const photograph = join(directory, `disk-${String(moment)}`)
    await lab.photographDisk(disk, photograph)
    photographs = [...photographs, photograph]
    if (isOver) break
    isOver = await Promise.race([ended, sleep(Math.random() * pauseMs, false)])
    if (photographs.length < MOMENTS) continue
    photographs = photographs.filter((_, index) => index % 2 === 0)
    pauseMs *= 2
  }
  const { status, stdout, stderr } = await work
  expect(status, stderr).toBe(0)
  final = JSON.parse(stdout) as ChipUse
  for (const photograph of photographs) states.push(await extract(photograph))
})

afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

/** Replays the journal and copies the state directory out; no mount is needed. */
async function extract(photograph: string): Promise<string> {
  const tree = `${photograph}.tree`
  mkdirSync(tree)
  await bash('e2fsck -p "$1" >/dev/null || [ $? -eq 1 ]', photograph)
  await bash('debugfs -R "rdump /state $2" "$1" 2>/dev/null', photograph, tree)
  rmSync(photograph)
  const state = join(tree, 'state')
  mkdirSync(state, { recursive: true })
  return state
}

async function useChip(state: string): Promise<ChipUse> {
  const { stdout } = await promisify(execFile)(process.execPath, [CHIP_USER, state, '1'], {
    cwd: repository,
  })
  return JSON.parse(stdout) as ChipUse
}

test('whenever the power is cut, the chip is there whole or is made anew', async () => {
  const complete = states.map((state) => existsSync(join(state, 'chip')))
  expect(new Set(complete)).toEqual(new Set([false, true]))
  for (const [moment, state] of states.entries()) {
    const { instanceId, certificates } = await useChip(state)
    expect([moment, certificates.length]).toEqual([moment, 1])
    if (complete[moment] === true) expect([moment, instanceId]).toEqual([moment, final.instanceId])
  }
})
