// Where Cloister keeps things. State (the chip's TPM, the development authority) outlives a
// reboot; the registry of enclaves does not.

import { lstatSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { CloisterError, reasonOf, withHint } from '../errors.ts'
import { makeDirectory } from '../files/index.ts'

export interface Directories {
  /** The chip and the development authority. */
  readonly state: string
  /** The registry of enclaves; its path is short, for unix sockets live below it. */
  readonly runtime: string
}

/**
 * `CLOISTER_STATE_DIR` and `CLOISTER_RUNTIME_DIR`, else /var/lib/cloister and /run/cloister for root,
 * else the XDG directories of the user (XDG Base Directory Specification).
 *
 * @throws `ERR_KEEPER_DIRECTORY` when one cannot be made or belongs to somebody else.
 */
export function openDirectories(env: NodeJS.ProcessEnv = process.env): Directories {
  const root = process.getuid?.() === 0
  const state = env['CLOISTER_STATE_DIR'] ?? (root ? '/var/lib/cloister' : userState(env))
  const runtime = env['CLOISTER_RUNTIME_DIR'] ?? (root ? '/run/cloister' : userRuntime(env))
  return {
    state: openNamed('CLOISTER_STATE_DIR', state),
    runtime: openNamed('CLOISTER_RUNTIME_DIR', runtime),
  }
}

function userState(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_STATE_HOME'] ?? join(homedir(), '.local/state'), 'cloister')
}

function userRuntime(env: NodeJS.ProcessEnv): string {
  const directory = env['XDG_RUNTIME_DIR']
  if (directory !== undefined) return join(directory, 'cloister')
  return join(tmpdir(), `cloister-${String(process.getuid?.() ?? 0)}`)
}

/** An error says which variable to change. */
function openNamed(variable: string, path: string): string {
  try {
    return openPrivate(path)
  } catch (error) {
    if (!(error instanceof CloisterError)) throw error
    throw withHint(
      error,
      `Set ${variable} to the absolute path of a directory that you own and nobody else can enter (mode 0700).`,
    )
  }
}

/**
 * Other users must not enter: sockets and TPM state live below. A symbolic link is followed when it
 * is our own or root's: anybody can put one into a shared directory.
 */
function openPrivate(path: string): string {
  if (!isAbsolute(path)) throw unusable(path, 'it is not an absolute path')
  try {
    makeDirectory(path)
  } catch (cause) {
    const reason = whyNotMade(cause)
    throw unusable(path, reason ?? reasonOf(cause), reason === undefined ? cause : undefined)
  }
  const link = lstatSync(path).uid
  if (link !== process.getuid?.() && link !== 0)
    throw unusable(path, 'it is a symbolic link owned by another user')
  const { uid, mode } = statSync(path)
  if (uid !== process.getuid?.()) throw unusable(path, `it belongs to user ${String(uid)}`)
  if ((mode & 0o077) !== 0)
    throw unusable(path, `other users can enter it (mode ${mode.toString(8)})`)
  return path
}

/** In other words than the system's, where those mislead. */
function whyNotMade(cause: unknown): string | undefined {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EEXIST') return 'it is not a directory'
  return code === 'ENOTDIR' ? 'a part of its path is not a directory' : undefined
}

function unusable(path: string, reason: string, cause?: unknown): CloisterError {
  return new CloisterError('ERR_KEEPER_DIRECTORY', `cannot use the directory ${path}: ${reason}`, {
    cause,
    details: { path },
  })
}
