// vsock-proxy for the enclaves of this host, those of now and those of later: a listener for each target
// in the directory of each enclave. What it proxies can be changed while it runs.

import { existsSync, watch, type FSWatcher } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, vsockDirectory, type AliveRecord, type Registry } from '../enclaves/index.ts'
import { allowedAddresses, type AllowedServer } from './allowlist.ts'
import { Resolver } from './resolver.ts'
import { ServedPort } from './served-port.ts'
import { isSameTarget, type Target } from './target.ts'

/** How often the registry is looked at, beside when something changes in it. */
const LOOK_MS = 500

/** What is proxied. */
export interface ProxyPlan {
  readonly targets: readonly Target[]
  /** Undefined: every target is allowed. */
  readonly allowlist: readonly AllowedServer[] | undefined
}

export interface ProxyOptions {
  readonly registry: Registry
  readonly isChosen: (record: AliveRecord) => boolean
  /** Called with the reason when a connection is not made, or a port not served. */
  readonly onFailure: (error: unknown, port?: ServedPort) => void
  /** Told of each port once it is served. */
  readonly onServed?: (port: ServedPort) => void
}

/** Proxies from its start until it is disposed of. */
export class Proxy implements AsyncDisposable {
  readonly #options: ProxyOptions
  readonly #resolver = new Resolver()
  readonly #ports = new Map<string, ServedPort>()
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #closing = new AbortController()
  #plan: ProxyPlan = { targets: [], allowlist: [] }
  #wake: () => void = () => undefined
  #last: Promise<unknown> = Promise.resolve()
  #running: Promise<void> = Promise.resolve()

  private constructor(options: ProxyOptions) {
    this.#options = options
  }

  /**
   * Serves every target for every enclave that has not ended.
   *
   * @throws `ERR_PROXY_DENIED`, `ERR_PROXY_RESOLVE`, `ERR_VSOCK_LISTEN`; nothing is served then.
   */
  static async start(plan: ProxyPlan, options: ProxyOptions): Promise<Proxy> {
    const proxy = new Proxy(options)
    try {
      for (const target of plan.targets)
        await allowedAddresses(target, plan.allowlist, proxy.#resolver)
      const [failure] = await proxy.#adopt(plan)
      if (failure !== undefined) throw failure as Error
      proxy.#running = proxy.#follow()
      return proxy
    } catch (error) {
      await proxy[Symbol.asyncDispose]()
      throw error
    }
  }

  get targets(): readonly Target[] {
    return this.#plan.targets
  }

  get ports(): readonly ServedPort[] {
    return [...this.#ports.values()]
  }

  /**
   * Proxies this from now on. What has not changed goes on; connections of targets that are no longer
   * there are cut off. Targets that the allowlist no longer allows get no new ones. What cannot be served or
   * reached is reported as a failure.
   */
  async reload(plan: ProxyPlan): Promise<void> {
    for (const failure of await this.#adopt(plan)) this.#options.onFailure(failure)
    for (const target of plan.targets)
      await allowedAddresses(target, plan.allowlist, this.#resolver).catch(this.#options.onFailure)
  }

  /** Returns the ports that are not served. */
  async #adopt(plan: ProxyPlan): Promise<readonly unknown[]> {
    this.#plan = plan
    return this.#sync()
  }

  async #follow(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      for (const failure of await this.#sync()) this.#options.onFailure(failure)
      const changed = new Promise<void>((resolve) => (this.#wake = resolve))
      const signal = this.#closing.signal
      await Promise.race([changed, sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)])
    }
  }

  /** One after the other. */
  #sync(): Promise<readonly unknown[]> {
    const synced = this.#last.then(() => this.#syncNow())
    this.#last = synced.catch(() => undefined)
    return synced
  }

  /** Makes the listeners what they are to be; returns what went wrong. */
  async #syncNow(): Promise<readonly unknown[]> {
    if (this.#closing.signal.aborted) return []
    const records = this.#options.registry.list().filter(isAlive).filter(this.#options.isChosen)
    const wanted = new Map(records.flatMap((record) => this.#wantedOf(record)))
    await this.#closeOthers(wanted)
    this.#watch(records)
    const failures: unknown[] = []
    for (const [key, { record, target }] of wanted) {
      if (this.#ports.has(key)) continue
      await this.#open(key, record, target).catch((error: unknown) => failures.push(error))
    }
    return failures
  }

  #wantedOf(record: AliveRecord): readonly (readonly [string, Wanted])[] {
    if (!existsSync(vsockDirectory(this.#options.registry.directory(record.id)))) return []
    return this.#plan.targets.map((target) => {
      return [`${record.id} ${String(target.localPort)}`, { record, target }]
    })
  }

  async #closeOthers(wanted: ReadonlyMap<string, Wanted>): Promise<void> {
    const others = [...this.#ports].filter(([key, port]) => {
      const target = wanted.get(key)?.target
      return target === undefined || !isSameTarget(target, port.target)
    })
    for (const [key] of others) this.#ports.delete(key)
    await Promise.all(others.map(([, port]) => port[Symbol.asyncDispose]()))
  }

  async #open(key: string, record: AliveRecord, target: Target): Promise<void> {
    const { registry, onFailure, onServed } = this.#options
    const directory = registry.directory(record.id)
    try {
      const port = await ServedPort.open({
        ...{ target, record, directory, onFailure },
        allowlist: () => this.#plan.allowlist,
        resolver: this.#resolver,
      })
      this.#ports.set(key, port)
      onServed?.(port)
    } catch (error) {
      // The enclave may have ended meanwhile.
      if (existsSync(vsockDirectory(directory))) throw error
    }
  }

  /** Looks out for new enclaves, and for the vsock directory of those that have none yet. */
  #watch(records: readonly AliveRecord[]): void {
    const { registry } = this.#options
    const directories = records.map(({ id }) => registry.directory(id))
    const paths = new Set([
      registry.directory('.'),
      ...directories.filter((it) => !existsSync(vsockDirectory(it))),
    ])
    for (const [path, watcher] of this.#watchers) {
      if (paths.delete(path)) continue
      watcher.close()
      this.#watchers.delete(path)
    }
    for (const path of paths) this.#watchOne(path)
  }

  /** Without a watcher, an enclave is found a little later. */
  #watchOne(path: string): void {
    try {
      const watcher = watch(path, { persistent: false }, () => {
        this.#wake()
      })
      watcher.on('error', () => {
        watcher.close()
      })
      this.#watchers.set(path, watcher)
    } catch {
      // It has gone, or the host has too many watchers.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#last
    for (const watcher of this.#watchers.values()) watcher.close()
    await Promise.all(this.ports.map((port) => port[Symbol.asyncDispose]()))
    this.#ports.clear()
    this.#resolver[Symbol.dispose]()
  }
}

interface Wanted {
  readonly record: AliveRecord
  readonly target: Target
}
