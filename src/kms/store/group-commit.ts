// Group commit: what requests write while the event loop turns once is one transaction, which is committed when the turn
// ends. A commit waits for the disk; requests that arrive meanwhile are in the next one. Each request is a step of its own
// in it, undone alone when it fails, and gets its answer only after the commit.

import type { Database } from './database.ts'

interface Group {
  readonly committed: Promise<void>
  readonly settle: (error?: Error) => void
}

export class GroupCommit {
  readonly #database: Database
  #group: Group | undefined

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Does some work at once; what it returns or throws is the result when it is on the disk with everything else.
   * @throws what `work` throws; ERR_KMS_STORE when the group cannot be committed
   */
  async step<T>(work: () => T): Promise<T> {
    const { committed } = (this.#group ??= this.#begin())
    const result = this.#attempt(work)
    await committed
    return result
  }

  #attempt<T>(work: () => T): T {
    try {
      return this.#database.step(work)
    } catch (error) {
      // It was more than this step that failed: those who wait for the others must know.
      if (!this.#database.canCommit) this.#database.settle()
      throw error
    }
  }

  #begin(): Group {
    const group = newGroup()
    const end = (): void => {
      if (this.#group === group) this.#end(group)
    }
    this.#database.beginSteps(end)
    setImmediate(end)
    return group
  }

  #end({ settle }: Group): void {
    this.#group = undefined
    try {
      this.#database.commitSteps()
      settle()
    } catch (error) {
      settle(error as Error)
    }
  }
}

function newGroup(): Group {
  let settle: Group['settle'] = () => undefined
  const committed = new Promise<void>((resolve, reject) => {
    settle = (error) => {
      if (error) reject(error)
      else resolve()
    }
  })
  // When its only step has failed, nobody waits for it.
  committed.catch(() => undefined)
  return { committed, settle }
}
