// Who offers /dev/nsm to the guest. An image of ours names one virtio device in its measured command
// line, so its agent does. A stock AWS image names none: it is told of two, and gets the NSM card,
// for AWS's driver, where QEMU can give a guest such a device.

import { chownSync, mkdirSync } from 'node:fs'
import { startNsmCard, type NsmCard } from '../nsm/index.ts'
import { NSM_DEVICE, offersDevice } from '../vmm/index.ts'
import type { CardOptions } from './enclave-card.ts'
import { nsmDirectory } from './enclave-paths.ts'
import type { EnclaveChip } from './enclave-chip.ts'
import { serveNsm } from './nsm-channel.ts'
import { stageProgram } from './stage-program.ts'

const WITHOUT_CARD =
  'this image has no /dev/nsm, unless its init is the agent of Cloister: ' +
  `the QEMU here has no ${NSM_DEVICE}; install QEMU 10.2 or later, or name one in CLOISTER_QEMU`

export interface NsmCardLaunch extends CardOptions {
  readonly image: { readonly isStock: boolean }
  readonly chip: EnclaveChip
}

/**
 * The NSM card of a stock image, answered by the enclave's chip; undefined where there is none.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NSM_CARD`
 */
export async function startEnclaveNsmCard(launch: NsmCardLaunch): Promise<NsmCard | undefined> {
  const { request, users, journal } = launch
  if (!launch.image.isStock) return undefined
  if (await offersDevice(request.programs.qemu, NSM_DEVICE, users.qemu)) return startCard(launch)
  journal.write(WITHOUT_CARD)
  return undefined
}

async function startCard(launch: NsmCardLaunch): Promise<NsmCard> {
  const { request, place, lifetime, users, journal, chip } = launch
  const directory = nsmDirectory(place.directory)
  mkdirSync(directory, { mode: 0o700 })
  const { uid } = users.nsmCard
  if (uid !== undefined) chownSync(directory, uid, uid)
  const card = await startNsmCard({
    program: stageProgram(request.programs.nsmCard, directory, users.nsmCard),
    directory,
    confinement: users.nsmCard,
  })
  await lifetime.own(card.process)
  journal.write(`the NSM card serves this stock image's /dev/nsm, confined: ${card.confined}`)
  // A card that sends what is no request is cut off; it then ends, and the enclave with it.
  void serveNsm(card.channel, chip.handle).catch(() => card.channel.destroy())
  return card
}
