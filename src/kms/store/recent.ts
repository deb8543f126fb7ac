// What was read from the store and checked, kept in memory until something in the store may have changed.

/** All values of one kind together; those that were read first make room. */
const MOST_BYTES = 32 * 1024 * 1024
/** A value with its place in the list, unless it is known to be larger. */
const USUAL_BYTES = 1024

interface Kept<T> {
  readonly value: T
  readonly bytes: number
}

/** Values by name, which hold as long as a version stays the same. */
export class Recent<T> {
  readonly #versionNow: () => number
  readonly #moreBytes: (value: T, name: string) => number
  readonly #values = new Map<string, Kept<T>>()
  #bytes = 0
  #version = Number.NaN

  /**
   * @param versionNow - NaN when nothing can be relied on.
   * @param moreBytes - How much a value is larger than usual, about.
   */
  constructor(versionNow: () => number, moreBytes: (value: T, name: string) => number = () => 0) {
    this.#versionNow = versionNow
    this.#moreBytes = moreBytes
  }

  /** The value of a name: as it was read before, or else as `read` finds it. */
  get(name: string, read: () => T): T {
    const version = this.#versionNow()
    if (version !== this.#version) this.#clear()
    this.#version = version
    const known = this.#values.get(name)
    if (known !== undefined) return known.value
    const value = read()
    this.#keep(name, { value, bytes: USUAL_BYTES + this.#moreBytes(value, name) })
    return value
  }

  #keep(name: string, kept: Kept<T>): void {
    this.#bytes += kept.bytes
    for (const [oldest, { bytes }] of this.#values) {
      if (this.#bytes <= MOST_BYTES) break
      this.#values.delete(oldest)
      this.#bytes -= bytes
    }
    this.#values.set(name, kept)
  }

  #clear(): void {
    this.#values.clear()
    this.#bytes = 0
  }
}
