// What rules decide about a flow, asked of the network card's own program: one implementation decides.

import { execFile } from 'node:child_process'
import { CloisterError, reasonOf } from '../errors.ts'
import type { EgressPolicy } from '../manifest/index.ts'

const TIMEOUT_MS = 10_000

export interface Explanation {
  readonly allowed: boolean
  readonly why: string
  /** The rule that decided, as YAML. */
  readonly rule?: string
  /** A rule for `allow` that would allow it, as YAML. */
  readonly wouldAllow?: string
}

/**
 * Decides a flow by rules.
 *
 * @param program - A cloister-network.
 * @param flow - `HOST:PORT`, with `/udp` for UDP.
 * @throws `ERR_CLI_ARGUMENT` when it is not a flow, `ERR_PROCESS_SPAWN`
 */
export async function explainFlow(
  program: string,
  policy: EgressPolicy,
  flow: string,
): Promise<Explanation> {
  const output = await new Promise<string>((resolve, reject) => {
    const options = { timeout: TIMEOUT_MS }
    const child = execFile(program, ['--explain', flow], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(failure(error, stderr, { program, flow }))
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(JSON.stringify(policy))
  })
  return JSON.parse(output) as Explanation
}

function failure(
  error: Error & { readonly code?: string | number | null },
  stderr: string,
  { program, flow }: { readonly program: string; readonly flow: string },
): CloisterError {
  if (error.code !== 1)
    return new CloisterError('ERR_PROCESS_SPAWN', `cannot run ${program}: ${reasonOf(error)}`, {
      cause: error,
      details: { program },
    })
  const reason = stderr.trim().replace(/^cloister-network: /, '')
  return new CloisterError('ERR_CLI_ARGUMENT', reason, {
    details: { flow },
    hint: 'Write a name or an address and a port, as in api.example.com:443 or [2001:db8::1]:53/udp.',
  })
}
