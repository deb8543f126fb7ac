// What a keeper and its caller say to each other while the enclave starts, as JSON over the keeper's
// IPC channel. The caller begins with a LaunchRequest.

import type { ErrorData } from '../error-data.ts'
import type { RunningRecord } from './record.ts'
import type { TimelineStep } from './timeline.ts'

export type KeeperMessage =
  /** The request and the image are accepted; what the enclave needs is started now. */
  | { readonly type: 'accepted' }
  | {
      readonly type: 'running'
      readonly record: RunningRecord
      readonly timeline: readonly TimelineStep[]
    }
  | { readonly type: 'failed'; readonly error: ErrorData }

/** The asker's answer to `running`. An asker that goes away without it is taken not to know. */
export interface Seen {
  readonly type: 'seen'
}
