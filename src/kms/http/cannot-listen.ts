// Why the broker or its console cannot listen.

import { CloisterError } from '../../errors.ts'
import { portFault } from '../../subprocess/index.ts'

/** @param who - With a space after it, or empty. */
export function cannotListen(
  who: string,
  { host, port }: { readonly host: string; readonly port: number },
  cause: unknown,
): CloisterError {
  const { reason, hint } = portFault(cause, { address: host, port, protocol: 'tcp' })
  const message = `${who}cannot listen on ${host} port ${String(port)}: ${reason}`
  return new CloisterError('ERR_KMS_LISTEN', message, {
    ...{ cause, details: { host, port } },
    ...(hint === undefined ? {} : { hint }),
  })
}
