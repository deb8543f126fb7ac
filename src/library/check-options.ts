// Options as JavaScript programs give them, where no compiler looks: one that is misspelt, of another type
// or not one of the choices would be ignored, or would reach the image or a record as something else.

/** What an option must be, in the words of its errors. */
export type OptionKind = keyof typeof kinds

/** Of each option, what it must be, or its choices; no other option is known. */
export type OptionKinds<T> = {
  readonly [K in keyof T]: OptionKind | `${OptionKind}, required` | readonly Extract<T[K], string>[]
}

const kinds = {
  'a string': (value: unknown) => typeof value === 'string',
  'a string or false': (value: unknown) => typeof value === 'string' || value === false,
  'a whole number': Number.isSafeInteger,
  'a positive whole number': (value: unknown) => Number.isSafeInteger(value) && Number(value) > 0,
  'a boolean': (value: unknown) => typeof value === 'boolean',
  'a function': (value: unknown) => typeof value === 'function',
  'an object': (value: unknown) => typeof value === 'object' && value !== null,
  'a Date': (value: unknown) => value instanceof Date,
  'an AbortSignal': (value: unknown) => value instanceof AbortSignal,
  'an array of strings': (value: unknown) =>
    Array.isArray(value) && value.every((one) => typeof one === 'string'),
  'an array of whole numbers': (value: unknown) =>
    Array.isArray(value) && value.every(Number.isSafeInteger),
} as const

/**
 * @param callee - The function that was called, for the message.
 * @throws TypeError if the options are not an object, or one is unknown, missing, of another type or not one
 * of its choices.
 */
export function checkOptions<T extends object>(
  callee: string,
  options: T,
  known: OptionKinds<Required<T>>,
): void {
  if (!isObject(options)) throw new TypeError(`${callee}: the options are not an object`)
  for (const name in options) {
    if (!Object.hasOwn(known, name)) throw unknown(callee, name, Object.keys(known))
  }
  for (const [name, kind] of Object.entries<string | readonly string[]>(known)) {
    const problem = problemOf(options[name as keyof T], kind)
    if (problem !== undefined) throw new TypeError(`${callee}: the option ${name} ${problem}`)
  }
}

function problemOf(value: unknown, kind: string | readonly string[]): string | undefined {
  if (typeof kind !== 'string') {
    const isChoice = value === undefined || kind.some((choice) => choice === value)
    return isChoice ? undefined : `is not one of ${kind.join(', ')}`
  }
  const [wanted = '', required] = kind.split(', ')
  if (value === undefined) return required === undefined ? undefined : 'is missing'
  return kinds[wanted as OptionKind](value) ? undefined : `is not ${wanted}`
}

function isObject(options: unknown): options is object {
  return typeof options === 'object' && options !== null && !Array.isArray(options)
}

function unknown(callee: string, name: string, known: readonly string[]): TypeError {
  const rule = `the options are ${known.join(', ')}`
  return new TypeError(`${callee}: there is no option ${name}; ${rule}`)
}
