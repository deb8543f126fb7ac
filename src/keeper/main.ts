// The keeper: the process that owns one running enclave. It is started with an IPC channel, gets
// one LaunchRequest over it, tells how that went, and then lives on alone until the enclave ends.

import { toData } from '../error-data.ts'
import { hostFault } from '../host-fault.ts'
import { keep } from './keep.ts'
import type { KeeperMessage, LaunchRequest, Seen } from '../enclaves/index.ts'

process.once('message', (request: LaunchRequest) => {
  process.once('message', (_seen: Seen) => {
    isSeen = true
  })
  void run(request)
})

/** Whether the asker knows that the enclave runs. */
let isSeen = false

async function run(request: LaunchRequest): Promise<void> {
  try {
    await keep(request, { tell, abandoned })
    process.exit(0)
  } catch (error) {
    tell({ type: 'failed', error: toData(hostFault(error) ?? error) }, () => process.exit(1))
  }
}

/** The asker may have gone by now; then there is nothing to send. */
function tell(message: KeeperMessage, sent: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, sent)
  else sent()
}

/** Settles when the asker has gone before it saw that the enclave runs. */
const abandoned = new Promise<void>((resolve) => {
  process.once('disconnect', () => {
    if (!isSeen) resolve()
  })
})
