// Where QEMU's microvm puts its virtio-mmio devices, and how a kernel is told (Linux
// Documentation/admin-guide/kernel-parameters.txt, virtio_mmio.device=<size>@<base>:<irq>).

/** The first device, the vsock card. */
const VSOCK_CARD_PLACE = 'virtio_mmio.device=512@0xfeb00e00:12'
/** The second device, the NSM card. */
const NSM_CARD_PLACE = 'virtio_mmio.device=512@0xfeb00c00:11'

/**
 * AWS's command lines name no virtio-mmio device (on EC2 the device is found in another way) and
 * restart through a keyboard controller that a microvm does not have, 30 s after a panic; until then
 * the enclave would seem to run. On a busy host an emulated timer is late, which the kernel would take
 * for a broken one. Such an image gets this one constant appended, and nothing else. Our own images name
 * the vsock card's place themselves, measured. A place without a card does no harm.
 */
const STOCK_IMAGE_CMDLINE_SUFFIX = ` ${VSOCK_CARD_PLACE} ${NSM_CARD_PLACE} reboot=t panic=-1 no_timer_check`

/** Whether an image with this command line is a stock AWS image: it names no virtio-mmio device. */
export function isStockImage(cmdline: string): boolean {
  return !words(cmdline).some((word) => word.startsWith('virtio_mmio.device='))
}

/** What is appended to an image's command line: nothing, or {@link STOCK_IMAGE_CMDLINE_SUFFIX}. */
export function cmdlineSuffix(cmdline: string): string {
  return isStockImage(cmdline) ? STOCK_IMAGE_CMDLINE_SUFFIX : ''
}

/** Whether a kernel with this command line looks for the NSM card. */
export function looksForNsmCard(cmdline: string): boolean {
  return words(cmdline).includes(NSM_CARD_PLACE)
}

function words(cmdline: string): readonly string[] {
  return cmdline.split(/\s+/)
}
