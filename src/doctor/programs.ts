// The programs that an enclave is made of, and those that fetch and build container images.

import { execFile, type ExecFileException } from 'node:child_process'
import { findCards, findNetworkCard, findParentProgram } from '../enclaves/index.ts'
import { CloisterError, messageOf, reasonOf } from '../errors.ts'
import { findProgram } from '../subprocess/index.ts'
import { NSM_DEVICE, offersDevice } from '../vmm/index.ts'
import { ok, type Finding } from './finding.ts'

const SET_UP = 'Run `npm run setup`: it installs and builds what is missing.'
/** A program that hangs is as good as none. */
const TIMEOUT_MS = 30_000

/** QEMU, and whether it has the machine and the device that every enclave needs. */
export async function checkQemu(): Promise<Finding> {
  const name = 'QEMU'
  const failed = (text: string): Finding => ({
    ...{ name, status: 'failed', text },
    fix: 'Install qemu-system-x86 7.2 or later, or name one in CLOISTER_QEMU.',
  })
  try {
    const qemu = findProgram(process.env['CLOISTER_QEMU'] ?? 'qemu-system-x86_64', process.cwd())
    const [version = ''] = (await outputOf(qemu, ['--version'])).split('\n')
    if (!version.includes('QEMU'))
      return failed(`${qemu} is not QEMU: --version prints ${JSON.stringify(version)}`)
    if (!/^microvm\b/m.test(await outputOf(qemu, ['-machine', 'help'])))
      return failed(`${qemu} does not support the machine type microvm`)
    if (!(await offersDevice(qemu, 'vhost-user-vsock-device', {})))
      return failed(`${qemu} does not support the device vhost-user-vsock-device`)
    return ok(name, `${qemu}: ${version}`)
  } catch (error) {
    return failed(messageOf(error))
  }
}

/** The device that gives stock AWS images their /dev/nsm; images of our own need none. */
export async function checkNsmDevice(): Promise<Finding> {
  const name = 'NSM for images of AWS tools'
  const qemu = process.env['CLOISTER_QEMU'] ?? 'qemu-system-x86_64'
  if (await offersDevice(qemu, NSM_DEVICE, {})) return ok(name, `QEMU has ${NSM_DEVICE}`)
  return {
    ...{ name, status: 'note', text: `QEMU has no ${NSM_DEVICE}: such images get no /dev/nsm` },
    fix: 'Install QEMU 10.2 or later, or name one in CLOISTER_QEMU.',
  }
}

/** Whether swtpm is found and runs; reports its path and version. */
export async function checkSwtpm(): Promise<Finding> {
  try {
    const swtpm = findProgram('swtpm')
    const [version = ''] = (await outputOf(swtpm, ['--version'])).split('\n')
    return ok('swtpm', `${swtpm}: ${version}`)
  } catch (error) {
    return { name: 'swtpm', status: 'failed', text: messageOf(error), fix: 'Install swtpm.' }
  }
}

/** The cards, and setpriv of util-linux, with which every part is confined. */
export function checkParts(): Finding {
  const name = 'cards'
  try {
    const { vsockCard, nsmCard } = findCards()
    const found = [vsockCard, nsmCard, 'setpriv'].map((program) =>
      findProgram(program, process.cwd()),
    )
    return ok(name, found.join(', '))
  } catch (error) {
    return { name, status: 'failed', text: messageOf(error), fix: fixOf(error) }
  }
}

/** What enclaves need whose images have egress. */
export function checkNetworkCard(): Finding {
  const name = 'network card'
  try {
    return ok(name, findProgram(findNetworkCard(), process.cwd()))
  } catch (error) {
    const text = `${messageOf(error)}; images with egress do not start`
    return { name, status: 'note', text, fix: fixOf(error) }
  }
}

/** What `cloister parent` hands over to. */
export function checkParent(): Finding {
  const name = 'parent programs'
  try {
    return ok(name, findParentProgram())
  } catch (error) {
    return { name, status: 'note', text: messageOf(error), fix: fixOf(error) }
  }
}

function fixOf(error: unknown): string {
  const isOwn = error instanceof CloisterError && error.details['variable'] !== undefined
  return isOwn ? error.hint : SET_UP
}

/** A tool for container images, which only some sources of images need. */
export function checkImageTool(tool: 'skopeo' | 'buildah', isWanted: boolean): Finding {
  const use =
    tool === 'skopeo' ? 'images from registries and Docker daemons' : 'Dockerfiles (--docker-dir)'
  try {
    return ok(tool, findProgram(tool))
  } catch {
    return {
      name: tool,
      status: isWanted ? 'failed' : 'note',
      text: `${tool} is not installed: build-enclave cannot use ${use}`,
      fix: `Install ${tool}.`,
    }
  }
}

/** How a program ended that printed nothing. */
function notAnswered(program: string, error: ExecFileException): string {
  if (error.killed === true)
    return `${program} did not answer within ${String(TIMEOUT_MS / 1000)} s`
  const end =
    typeof error.code === 'number'
      ? `exit status ${String(error.code)}`
      : (error.signal ?? reasonOf(error))
  return `${program} printed nothing (${end})`
}

/** What a program prints; its exit status does not count if it prints something. */
function outputOf(program: string, args: readonly string[]): Promise<string> {
  const options = { timeout: TIMEOUT_MS, cwd: '/' }
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout) => {
      if (error === null || stdout !== '') resolve(stdout)
      else reject(new Error(notAnswered(program, error), { cause: error }))
    })
  })
}
