// Words of commands that hints print to be pasted.

/** The text as one word of a POSIX shell: as it is, or in single quotes where a shell would read it otherwise. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9._@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
