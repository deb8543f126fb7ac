// cloister prune: forgets ended enclaves, and removes what dead ones have left.

import { Command } from 'commander'
import { isAlive, openDirectories, Registry } from '../enclaves/index.ts'
import { printJson, printProgress } from './print.ts'

export function pruneCommand(): Command {
  return new Command('prune')
    .addHelpText(
      'after',
      '\nRunning enclaves, the host chip and its authority are not touched. A directory with a damaged record\n' +
        'is reported and kept, because something may still be running in it.\n' +
        '\nExample:\n  cloister prune\n',
    )
    .action(() => {
      const registry = new Registry(openDirectories().runtime)
      // Ends what killed keepers have left, and removes what was never whole.
      registry.settle()
      for (const { message, hint } of registry.damaged())
        printProgress(`Not removed: ${message}. ${hint}`)
      const ended = registry.list().filter((record) => !isAlive(record))
      for (const record of ended) registry.remove(record)
      printJson(
        ended.map(({ id, description }) => ({
          EnclaveName: description.name,
          EnclaveID: id,
          Pruned: true,
        })),
      )
    })
}
