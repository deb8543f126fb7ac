// The keeper: the process that owns one running enclave. It is started with an IPC channel, gets
// one LaunchRequest over it, tells how that went, and then lives on alone until the enclave ends.

import { CloisterError, messageOf } from '../errors.ts'
import { keep } from './keep.ts'
import type { ErrorData, KeeperMessage, LaunchRequest } from './launch-request.ts'

process.once('message', (request: LaunchRequest) => {
  void run(request)
})

async function run(request: LaunchRequest): Promise<void> {
  try {
    await keep(request, { tell, abandoned })
    process.exit(0)
  } catch (error) {
    tell({ type: 'failed', error: errorData(error) })
    process.exitCode = 1
    if (process.connected) process.disconnect()
  }
}

/** Whoever asked for the enclave may be gone by now; then nobody is told. */
function tell(message: KeeperMessage): void {
  if (process.connected) process.send?.(message)
}

/** Settles when the asker has gone before it was told. */
const abandoned = new Promise<void>((resolve) => {
  process.once('disconnect', resolve)
})

function errorData(error: unknown): ErrorData {
  if (error instanceof CloisterError) {
    return { code: error.code, message: error.message, hint: error.hint, details: error.details }
  }
  const stack = error instanceof Error ? error.stack : undefined
  return { code: 'ERR_INTERNAL', message: messageOf(error), hint: '', details: { stack } }
}
