// Results go to standard output as nitro-cli's JSON, progress to standard error. Names, metadata and
// last words come from images and guests: no control character of theirs reaches a terminal.

import { stringifyJson } from '../exact-json.ts'

/** C0 without tab and newline, DEL, C1, and what turns the direction of text. */
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** The same text without power over a terminal; tabs and line ends stay. */
export function escapeControls(text: string): string {
  return text.replace(CONTROL, escape)
}

/**
 * Prints a value to standard output as JSON indented by two spaces, with control characters
 * escaped.
 */
export function printJson(value: unknown): void {
  const json = escapeControls(stringifyJson(value, '  '))
  process.stdout.write(`${json}\n`)
}

/** A result for people: text of one or more lines. */
export function printText(text: string): void {
  process.stdout.write(`${text.replace(CONTROL, '?')}\n`)
}

/** One line of a stream of them. A reader that is slow holds up this command, and nobody else. */
export async function printLine(line: string): Promise<void> {
  if (process.stdout.write(`${line}\n`)) return
  await new Promise((resolve) => process.stdout.once('drain', resolve))
}

/** Text of one or more lines. */
export function printProgress(text: string): void {
  process.stderr.write(`${text.replace(CONTROL, '?')}\n`)
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
