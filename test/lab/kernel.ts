// The lab's kernel, Debian's own, which `scripts/lab-kernel.sh` has unpacked, and the initramfs that
// gets it to its root.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bash } from './commands.ts'
import { cachedImage } from './image-cache.ts'
import { repository } from './repository.ts'

export const kernelTree = join(repository, 'build/lab-kernel')
const init = join(repository, 'test/lab/inside/init')

/** What the initramfs needs to see the disks, the channel and its root. */
const modules = ['virtio_pci', 'virtio_blk', 'virtio_console', 'squashfs', 'overlay']

const MAKE_INITRAMFS = `
image=$1 tree=$2 release=$3 init=$4; shift 4
staging=$(mktemp -d); trap 'rm -rf "$staging"' EXIT
mkdir -p "$staging"/{bin,dev,proc,lower,layer,modules}
cp /bin/busybox "$staging/bin/"
install -m 0755 "$init" "$staging/init"
number=100
for module; do modprobe -d "$tree" -S "$release" --show-depends "$module"; done |
  awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
    cp "$file" "$staging/modules/$number-$(basename "$file")"; number=$((number + 1))
  done
(cd "$staging" && find . | cpio --quiet --create --format=newc --owner=0:0) | gzip -1 >"$image"
`

/** Such as `6.1.0-56-cloud-amd64`. */
export function kernelRelease(): string {
  const [release] = readdirSync(join(kernelTree, 'lib/modules'))
  if (release === undefined)
    throw new Error(`${kernelTree} holds no kernel; run scripts/setup.sh --test`)
  return release
}

export function kernelPath(): string {
  return join(kernelTree, 'boot', `vmlinuz-${kernelRelease()}`)
}

export function initramfs(): Promise<string> {
  const release = kernelRelease()
  const inputs = [
    MAKE_INITRAMFS,
    release,
    readFileSync(init),
    readFileSync('/bin/busybox'),
    ...modules,
  ]
  return cachedImage('initramfs', inputs, (image) =>
    bash(MAKE_INITRAMFS, image, kernelTree, release, init, ...modules),
  )
}
