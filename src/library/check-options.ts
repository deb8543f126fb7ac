// Options as JavaScript programs give them, where no compiler looks: one that is misspelt or of another
// type would be ignored, or would reach the image or a record as something else.

/** What an option must be, in the words of its errors. */
export type OptionKind = keyof typeof kinds

/** Of each option, what it must be; no other is known. */
export type OptionKinds<T> = Readonly<Record<keyof T, OptionKind | `${OptionKind}, required`>>

const kinds = {
  'a string': (value: unknown) => typeof value === 'string',
  'a string or false': (value: unknown) => typeof value === 'string' || value === false,
  'a whole number': Number.isSafeInteger,
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
 * @throws TypeError on options that are no object, unknown, missing or of another type.
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
  for (const [name, kind] of Object.entries<string>(known)) {
    const value: unknown = options[name as keyof T]
    const [wanted = '', required] = kind.split(', ')
    if (value === undefined && required === undefined) continue
    if (kinds[wanted as OptionKind](value)) continue
    const found = value === undefined ? 'is missing' : `is not ${wanted}`
    throw new TypeError(`${callee}: the option ${name} ${found}`)
  }
}

function isObject(options: unknown): options is object {
  return typeof options === 'object' && options !== null && !Array.isArray(options)
}

function unknown(callee: string, name: string, known: readonly string[]): TypeError {
  const rule = `the options are ${known.join(', ')}`
  return new TypeError(`${callee}: there is no option ${name}; ${rule}`)
}
