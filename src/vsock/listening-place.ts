// Where a listener listens, a TCP address or a unix socket, and why it cannot: what a killed program
// left is replaced, what somebody serves is not.

import { existsSync, lstatSync, unlinkSync, type Stats } from 'node:fs'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { CloisterError, reasonOf } from '../errors.ts'
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
  const isTaken = code === 'EADDRINUSE'
  const reason = isTaken ? whoListens(end) : (noDirectory(end, code) ?? reasonOf(cause))
  const message = `cannot listen at ${describeHostEnd(end)}: ${reason}`
  const hint = isTaken ? freePlace(end) : hintFor(end, code)
  return new CloisterError('ERR_VSOCK_LISTEN', message, {
    ...{ cause, details: { ...end } },
    ...(hint === undefined ? {} : { hint }),
  })
}

function freePlace(end: HostEnd): string {
  return 'path' in end
    ? 'End the other program, or choose another port or path.'
    : 'End the other program, choose another port, or give port 0 for a free one.'
}

/** libuv says EACCES also where the directory is missing (uv__pipe_bind). */
function noDirectory(end: HostEnd, code: string): string | undefined {
  if (!('path' in end) || (code !== 'EACCES' && code !== 'ENOENT')) return undefined
  const directory = dirname(end.path)
  return existsSync(directory)
    ? `the directory ${directory} is not writable`
    : `there is no directory ${directory}`
}

function hintFor(end: HostEnd, code: string): string | undefined {
  if ('path' in end) return 'Choose a path in a directory that exists and that you may write to.'
  if (code === 'EACCES') return 'Only root may listen at ports below 1024 here: choose another one.'
  if (code === 'EADDRNOTAVAIL') return 'Choose an address of this host, as `ip address` lists them.'
  return undefined
}

function whoListens(end: HostEnd): string {
  const file = 'path' in end ? lstatSync(end.path, { throwIfNoEntry: false }) : undefined
  return file?.isSocket() === false ? 'there is a file already' : 'another program listens there'
}
