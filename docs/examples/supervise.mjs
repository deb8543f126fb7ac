// Runs an image and starts it again whenever its app fails, until a signal ends it: a restart rule of your
// own. Plain JavaScript for Node.js 20 and later: node supervise.mjs app.eif

import { argv } from 'node:process'
import { CloisterError, runEnclave } from 'cloister'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())

while (!stop.signal.aborted) {
  try {
    const enclave = await runEnclave({ eif: argv[2], memoryMib: 128, signal: stop.signal })
    console.log(`${enclave.name} is running as ${enclave.id}`)
    try {
      const { first, reason, exitCode } = await enclave.ended({ signal: stop.signal })
      console.log(`${first} ended: ${reason}`)
      if (exitCode === 0) break
    } finally {
      await enclave.stop()
    }
  } catch (error) {
    if (error === stop.signal.reason) break
    if (error instanceof CloisterError)
      console.error(`${error.code}: ${error.message}\n${error.hint}`)
    process.exitCode = 1
    break
  }
}
