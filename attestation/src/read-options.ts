// Reads an object of options. One that is misspelt, inherited or `undefined` by accident may get lost
// on its way and would check nothing, so all three are mistakes.

/**
 * The options that were given, each read once.
 * @throws TypeError on an option that is unknown, inherited or undefined.
 */
export function readOptions<T extends object>(given: T, known: readonly string[]): T {
  for (const name in given) {
    if (!known.includes(name)) throw new TypeError(`unknown option ${name}`)
  }
  const own = known.filter((name) => name in given) as (keyof T & string)[]
  return Object.fromEntries(own.map((name) => [name, readOption(given, name)])) as T
}

function readOption<T extends object>(given: T, name: keyof T & string): unknown {
  if (!Object.hasOwn(given, name)) throw new TypeError(`option ${name} is inherited`)
  const value = given[name]
  if (value === undefined) throw new TypeError(`option ${name} is undefined: leave it out`)
  return value
}
