// What a card says of its sandbox in its first line is what the keeper believes; anything less than a
// claim is taken as none. The card is a shell script.

import { chmodSync, closeSync, openSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { startCard, type Card, type CardSandbox } from '../../src/subprocess/card-process.ts'
import { once } from '../fixtures/once.ts'
import { makeScratch } from '../fixtures/temporary-directory.ts'

/** Starts a card whose first line is this; it stays until its channel ends. */
async function cardThatSays(
  line: string,
  then = 'exec cat <&3',
  inherited: readonly number[] = [],
): Promise<Card> {
  const directory = await makeScratch()
  const program = `${directory}/card`
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' '${line}' >&3\n${then}\n`)
  chmodSync(program, 0o755)
  const card = await startCard({
    name: 'vsock card',
    command: [program],
    inherited,
    directory,
    confinement: {},
  })
  onTestFinished(() => card[Symbol.asyncDispose]())
  return card
}

const ready = (sandbox?: object): string => JSON.stringify({ event: 'ready', sandbox })

test.each<readonly [object, CardSandbox]>([
  [
    { landlock: 'full', seccomp: true, privateRoot: true },
    { landlock: 'full', seccomp: true, privateRoot: true },
  ],
  [
    { landlock: 'partial', seccomp: true },
    { landlock: 'partial', seccomp: true, privateRoot: false },
  ],
  [
    { landlock: 'none', seccomp: 1, privateRoot: 'true' },
    { landlock: 'none', seccomp: false, privateRoot: false },
  ],
])('a card that reports %o has %o', async (reported, believed) => {
  expect((await cardThatSays(ready(reported))).sandbox).toEqual(believed)
})

test.each([
  ['no sandbox', ready()],
  ['a level of Landlock that there is not', ready({ landlock: 'most', seccomp: true })],
  ['another event', JSON.stringify({ event: 'refused', sandbox: { landlock: 'full' } })],
  ['text', 'ready'],
  ['a line that is too long', 'x'.repeat(5000)],
])('a card that reports %s does not start', async (_what, line) => {
  await expect(cardThatSays(line)).rejects.toMatchObject({ code: 'ERR_VSOCK_CARD' })
})

test('a card whose CID another virtual machine has does not start, and that is told', async () => {
  const line = JSON.stringify({ event: 'cidInUse', cid: 16 })
  await expect(cardThatSays(line)).rejects.toMatchObject({
    code: 'ERR_VSOCK_CID',
    details: { cid: 16 },
  })
})

test('a card inherits what it is given, and the descriptor stays ours', async () => {
  const directory = await makeScratch()
  writeFileSync(`${directory}/given`, 'given')
  const given = openSync(`${directory}/given`, 'r+')
  await using card = await cardThatSays(ready({ landlock: 'full' }), 'cat <&5 >&3; exec cat <&3', [
    given,
  ])
  const [chunk] = (await once(card.channel, 'data')) as [Buffer]
  expect(chunk.toString()).toBe('given')
  closeSync(given)
})

test('a card that ends without a word does not start, and its last words are told', async () => {
  const dying = cardThatSays('', 'echo no card today >&2; exit 1')
  await expect(dying).rejects.toMatchObject({
    code: 'ERR_VSOCK_CARD',
    details: { stderr: 'no card today' },
  })
})
