// The keeper's life: one enclave, or, where there is a restart rule, one after another.

import { Registry, type LaunchRequest, type StartingRecord } from '../enclaves/index.ts'
import { keepOne, type Asker } from './keep-one.ts'
import { StopSwitch } from './stop-switch.ts'
import { Succession } from './succession.ts'

/**
 * Launches the enclave, keeps it until it ends, and records its end; then the next one, as the restart
 * rule says.
 *
 * @throws Whatever ended the first launch; then nothing of the enclave is left.
 */
export async function keep(request: LaunchRequest, asker: Asker & Abandoning): Promise<void> {
  const stop = new StopSwitch()
  stop.listenToSignals()
  void asker.abandoned.then(() => {
    stop.ask(0, 'the command that started the enclave has exited')
  })
  const registry = new Registry(request.directories.runtime)
  const succession = new Succession(registry, request)
  const keeping = { request, registry, succession, stop }
  let record: StartingRecord | undefined = await succession.first()
  record = await keepOne({ ...keeping, record, asker })
  while (record !== undefined) record = await keepOne({ ...keeping, record })
}

interface Abandoning {
  /** Settles when the asker has gone without having seen that the enclave runs. */
  readonly abandoned: Promise<void>
}
