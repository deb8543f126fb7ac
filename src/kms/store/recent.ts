// What was read from the store and checked, kept in memory until something in the store may have changed.

/** At most that many values; those that were read first make room. */
const MOST = 2000

/** Values by name, which hold as long as a version stays the same. */
export class Recent<T> {
  readonly #versionNow: () => number
  readonly #values = new Map<string, T>()
  #version = Number.NaN

  /** @param versionNow - NaN when nothing can be relied on. */
  constructor(versionNow: () => number) {
    this.#versionNow = versionNow
  }

  /** The value of a name: as it was read before, or else as `read` finds it. */
  get(name: string, read: () => T): T {
    const version = this.#versionNow()
    if (version !== this.#version) this.#values.clear()
    this.#version = version
    const known = this.#values.get(name)
    if (known !== undefined) return known
    const value = read()
    const [oldest] = this.#values.size < MOST ? [] : this.#values.keys()
    if (oldest !== undefined) this.#values.delete(oldest)
    this.#values.set(name, value)
    return value
  }
}
