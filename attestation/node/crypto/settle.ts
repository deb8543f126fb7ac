// What an async function does with a result that is there already, without the turns of the
// microtask queue that it would wait for an inner promise.

/** A promise of what `compute` returns or throws; it is called at once. */
export function settle<T>(compute: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(compute())
  })
}
