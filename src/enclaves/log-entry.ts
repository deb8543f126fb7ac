// What left an enclave as its log: one JSON object a line, in the order in which it came. The text is
// the guest's; JSON keeps its control characters from meaning anything.

export type LogStream = 'stdout' | 'stderr'

export type LogEntry =
  | {
      /** RFC 3339, the host's clock. */
      readonly time: string
      readonly stream: LogStream
      readonly line: string
      /** Bytes that were left out at the end of the line. */
      readonly cut?: number
    }
  | {
      readonly time: string
      /** Lines that were declared and did not leave, or were not kept, because there were too many. */
      readonly dropped: number
    }

/** One line with its end. */
export function encodeLogEntry(entry: LogEntry): string {
  return `${JSON.stringify(entry)}\n`
}

/** Nothing for a line that a full disk cut short. */
export function decodeLogEntry(line: string): LogEntry | undefined {
  try {
    return JSON.parse(line) as LogEntry
  } catch {
    return undefined
  }
}
