// Directories, disk, memory and the clock.

import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { availableMemoryMib, excessOfSocketPath, openDirectories } from '../enclaves/index.ts'
import { messageOf, reasonOf } from '../errors.ts'
import { ok, type Finding } from './finding.ts'

const MIB = 2 ** 20
/** A chip and an enclave's TPM, records, journals and a saved console. */
const NEEDED_STATE_MIB = 32
/** Unpacked layers of an image. */
const WANTED_TEMPORARY_MIB = 1024
/** The smallest enclave, with QEMU and its other processes. */
const NEEDED_MEMORY_MIB = 192

/** Where the chip and the registry of enclaves are; they are made if need be. */
export function checkDirectories(): Finding {
  const name = 'directories'
  try {
    const { state, runtime } = openDirectories()
    const excess = excessOfSocketPath(runtime)
    if (excess > 0) return tooLong(runtime, excess)
    const full = [state, runtime].find((path) => freeMib(path) < NEEDED_STATE_MIB)
    if (full === undefined) return ok(name, `${state}, ${runtime}`)
    const text = `${full} has ${String(freeMib(full))} MiB left`
    return { name, status: 'failed', text, fix: 'Free some space there.' }
  } catch (error) {
    const fix =
      'Set CLOISTER_STATE_DIR and CLOISTER_RUNTIME_DIR to directories that you own and nobody else can enter (mode 0700).'
    return { name, status: 'failed', text: messageOf(error), fix }
  }
}

function tooLong(runtime: string, excess: number): Finding {
  return {
    ...{ name: 'directories', status: 'failed' },
    text: `the path ${runtime} is ${String(excess)} bytes too long for the Unix sockets below it`,
    fix: 'Set CLOISTER_RUNTIME_DIR to a shorter path.',
  }
}

/** Where images are unpacked. */
export function checkTemporary(): Finding {
  const name = 'temporary files'
  const fix = `Set TMPDIR to an existing directory with ${String(WANTED_TEMPORARY_MIB)} MiB of free space.`
  try {
    accessSync(tmpdir(), constants.W_OK | constants.X_OK)
    const free = freeMib(tmpdir())
    const text = `${tmpdir()} has ${String(free)} MiB left`
    return free < WANTED_TEMPORARY_MIB ? { name, status: 'warning', text, fix } : ok(name, text)
  } catch (error) {
    const text = `cannot create a temporary file in ${tmpdir()}: ${reasonOf(error)}`
    return { name, status: 'failed', text, fix }
  }
}

/** The kernel and the agent that images are built with. */
export function checkBlobs(directory: string): Finding {
  const name = 'guest kernel and agent'
  const missing = ['bzImage', 'init', 'companion'].filter(
    (file) => !existsSync(join(directory, file)),
  )
  if (missing.length === 0) return ok(name, directory)
  return {
    ...{ name, status: 'failed', text: `${directory} has no ${missing.join(' and no ')}` },
    fix: 'Run `npm run setup`, or name the directory that has them in CLOISTER_BLOBS.',
  }
}

/** Whether the host has enough free memory for one enclave (`MemAvailable` of `/proc/meminfo`). */
export function checkMemory(): Finding {
  const name = 'memory'
  const free = availableMemoryMib()
  const text = `${String(free)} MiB are available`
  if (free >= NEEDED_MEMORY_MIB) return ok(name, text)
  return { name, status: 'failed', text, fix: 'Stop other programs on this host.' }
}

/** Certificates and documents carry the time: one before Cloister was installed cannot be right. */
export function checkClock(now: number = Date.now()): Finding {
  const name = 'clock'
  const installed = statSync(fileURLToPath(import.meta.url)).mtimeMs
  const text = new Date(now).toISOString()
  if (now >= installed) return ok(name, text)
  return {
    ...{ name, status: 'failed', text: `${text} is before the time when Cloister was installed` },
    fix: 'Set the clock, preferably with a service such as systemd-timesyncd or chrony.',
  }
}

function freeMib(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return Math.floor((bavail * bsize) / MIB)
}
