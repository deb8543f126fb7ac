// Where a listener listens, a TCP address or a unix socket, and why it cannot: what a killed program
// left is replaced, what somebody serves is not.

import { existsSync, lstatSync, unlinkSync, type Stats } from 'node:fs'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { CloisterError, reasonOf } from '../errors.ts'
import { portFault } from '../subprocess/index.ts'
import { describeHostEnd, type HostEnd } from './forward-spec.ts'

/** Removes the socket of a program that was killed. */
export async function removeAbandoned(path: string): Promise<void> {
  const abandoned = lstatSync(path, { throwIfNoEntry: false })
  if (abandoned?.isSocket() !== true) return
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') unlinkSame(path, abandoned)
  } finally {
    socket.destroy()
  }
}

/** Removes our socket when the process ends; returns what forgets about that. */
export function unlinkAtExit(path: string): () => void {
  const own = lstatSync(path)
  const unlink = (): void => {
    unlinkSame(path, own)
  }
  process.once('exit', unlink)
  return () => {
    process.off('exit', unlink)
  }
}

/** Unless something else has taken its place. */
function unlinkSame(path: string, { dev, ino }: Stats): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.dev === dev && found.ino === ino) unlinkSync(path)
}

/** Why nothing listens there, and what to do about it. */
export function cannotListen(end: HostEnd, cause: unknown): CloisterError {
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  const { reason, hint } =
    'path' in end
      ? pathFault(end.path, code, cause)
      : portFault(cause, { address: end.host, port: end.port, protocol: 'tcp' })
  const message = `cannot listen at ${describeHostEnd(end)}: ${reason}`
  return new CloisterError('ERR_VSOCK_LISTEN', message, {
    ...{ cause, details: { ...end } },
    ...(hint === undefined ? {} : { hint }),
  })
}

function pathFault(
  path: string,
  code: string,
  cause: unknown,
): { readonly reason: string; readonly hint: string } {
  if (code === 'EADDRINUSE')
    return {
      reason: whoListens(path),
      hint: 'End the other program, or choose another port or path.',
    }
  const hint = 'Choose a path in a directory that exists and that you may write to.'
  return { reason: noDirectory(path, code) ?? reasonOf(cause), hint }
}

/** libuv says EACCES also where the directory is missing (uv__pipe_bind). */
function noDirectory(path: string, code: string): string | undefined {
  if (code !== 'EACCES' && code !== 'ENOENT') return undefined
  const directory = dirname(path)
  return existsSync(directory)
    ? `the directory ${directory} is not writable`
    : `there is no directory ${directory}`
}

function whoListens(path: string): string {
  const file = lstatSync(path, { throwIfNoEntry: false })
  return file?.isSocket() === false ? 'there is a file already' : 'another program listens there'
}
