// Who offers /dev/nsm to the guest: the NSM card, to AWS's driver, where the kernel's command line
// names the card's place and QEMU can give a guest such a device. Every stock AWS image's does; ours
// names the vsock card's alone, measured, and its agent offers the device.

import { startNsmCard, type NsmCard } from '../../nsm/index.ts'
import { NSM_DEVICE, offersDevice } from '../../vmm/index.ts'
import { adoptCard, prepareCard, type CardLaunch } from './card-directory.ts'
import { nsmDirectory } from '../../enclaves/index.ts'
import type { EnclaveChip } from './chip.ts'
import { serveNsm } from '../guest/nsm-channel.ts'
import type { MeasuredImage } from './measured-image.ts'

const WITHOUT_CARD =
  'this image has no /dev/nsm, unless its init is the agent of Cloister: ' +
  `the QEMU here has no ${NSM_DEVICE}; install QEMU 10.2 or later, or name one in CLOISTER_QEMU`

export interface NsmCardLaunch extends CardLaunch {
  readonly chip: EnclaveChip
}

/**
 * Whether an image gets the NSM card: it looks for one, and QEMU can give a guest such a device. The
 * journal says when only QEMU is in the way.
 */
export async function needsNsmCard(
  { request, users, journal }: Pick<CardLaunch, 'request' | 'users' | 'journal'>,
  image: Pick<MeasuredImage, 'looksForNsmCard'>,
): Promise<boolean> {
  if (!image.looksForNsmCard) return false
  if (await offersDevice(request.programs.qemu, NSM_DEVICE, users.qemu)) return true
  journal.write(WITHOUT_CARD)
  return false
}

/**
 * Starts the NSM card, answered by the enclave's chip.
 *
 * @throws `ERR_PROCESS_SPAWN`, `ERR_NSM_CARD`
 */
export async function startEnclaveNsmCard(launch: NsmCardLaunch): Promise<NsmCard> {
  const { request, place, users, chip } = launch
  const directory = nsmDirectory(place.directory)
  const card = await startNsmCard(prepareCard(request.programs.nsmCard, directory, users.nsmCard))
  await adoptCard(card, launch)
  // A card that sends a malformed request is cut off; it then ends, and the enclave with it.
  void serveNsm(card.channel, chip.handle).catch(() => card.channel.destroy())
  return card
}
