// getaddrinfo (hosts file, DNS, whatever the host uses) in a process of its own. Node runs it on threads, two of which may
// look up names at a time unless a process starts with more: two names whose servers do not answer would hold up all
// others.

import { spawn, type ChildProcess } from 'node:child_process'
import { deferred, type Deferred } from '../subprocess/index.ts'

/** Looks up the addresses of a name. */
export interface Lookup extends Disposable {
  /** @throws Error of the host's resolver, after as long as it takes. */
  lookup(name: string): Promise<readonly string[]>
}

/** Half of them look up names: as many as there are targets. */
const THREADS = '128'

const PROGRAM = `
const { lookup } = require('node:dns')
process.on('disconnect', () => process.exit())
process.on('message', (name) => {
  lookup(name, { all: true, verbatim: true }, (error, found = []) => {
    process.send({ name, failure: error?.message, addresses: found.map(({ address }) => address) })
  })
})`

interface Answer {
  readonly name: string
  readonly failure?: string
  readonly addresses: readonly string[]
}

type Asked = Map<string, Deferred<Answer>>

/** The process starts with the first question, and again with the next one if it ends. */
export class LookupProcess implements Lookup {
  #child: ChildProcess | undefined
  #asked: Asked = new Map()

  /** A question that is not answered yet is not asked again. */
  async lookup(name: string): Promise<readonly string[]> {
    const { failure, addresses } = await (this.#asked.get(name) ?? this.#ask(name)).promise
    if (failure !== undefined) throw new Error(failure)
    return addresses
  }

  #ask(name: string): Deferred<Answer> {
    this.#child ??= this.#start()
    const answer = deferred<Answer>()
    this.#asked.set(name, answer)
    this.#child.send(name, () => undefined) // If it has ended, so does the question.
    return answer
  }

  #start(): ChildProcess {
    const asked: Asked = new Map()
    this.#asked = asked
    const { NOTIFY_SOCKET: _, ...env } = process.env
    const child = spawn(process.execPath, ['--max-semi-space-size=1', '-e', PROGRAM], {
      env: { ...env, UV_THREADPOOL_SIZE: THREADS, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', (answer: Answer) => {
      asked.get(answer.name)?.resolve(answer)
      asked.delete(answer.name)
    })
    const end = (): void => {
      if (this.#child === child) this.#child = undefined
      const failure = 'the process that looks up names ended'
      for (const [name, { resolve }] of asked) resolve({ name, failure, addresses: [] })
      asked.clear()
    }
    child.on('error', end).on('exit', end)
    child.unref()
    child.channel?.unref()
    return child
  }

  [Symbol.dispose](): void {
    this.#child?.kill()
  }
}
