// Who has a port, in words that say which program it is: `node` alone can be anything, an enclave's keeper too.

import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { portFault } from '../../src/subprocess/port-fault.ts'
import { once } from '../fixtures/once.ts'
import { temporaryDirectory } from '../fixtures/temporary-directory.ts'

const LISTEN = `require('node:net').createServer().listen(0, '127.0.0.1', function () {
  console.log(this.address().port)
})`
const TAKEN = Object.assign(new Error('taken'), { code: 'EADDRINUSE' })

test.each([
  ['two\nlines.js', /^process \d+ \(node .*two\?lines\.js\) uses the port$/, /^End that program, /],
  ['serve.js', /^process \d+ \(node .*serve\.js\) uses the port$/, /^End that program, /],
  [
    'keeper/main.js',
    /^process \d+ \(the keeper of an enclave\) uses the port$/,
    /^Terminate that enclave \(`cloister describe-enclaves` lists them\), /,
  ],
])('a port that %s has', async (name, reason, hint) => {
  await using directory = await temporaryDirectory()
  mkdirSync(directory.join('keeper'))
  writeFileSync(directory.join(name), LISTEN)
  const flags = ['--max-semi-space-size=1', directory.join(name)]
  const program = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [port] = (await once(program.stdout, 'data')) as [Buffer]
    const place = { address: '127.0.0.1', port: Number(port), protocol: 'tcp' } as const
    const fault = portFault(TAKEN, place)
    expect(fault.reason).toMatch(reason)
    expect(fault.hint).toMatch(hint)
  } finally {
    program.kill()
  }
})
