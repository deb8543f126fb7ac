// The root file system of the lab's host, a squashfs: the files of this machine's Debian packages that
// Cloister needs, or another tree; with Node, the newer QEMU and the kernel's modules. Nothing else of
// this machine gets in.

import { readFileSync, realpathSync } from 'node:fs'
import { bash } from './commands.ts'
import { cachedImage } from './image-cache.ts'
import { kernelRelease, kernelTree } from './kernel.ts'
import { recentQemuDirectory } from './recent-qemu.ts'

const packages = [
  ...[
    'base-files',
    'base-passwd',
    'dash',
    'bash',
    'libc-bin',
    'coreutils',
    'util-linux',
    'mount',
    'procps',
    'hostname',
  ],
  ...['iproute2', 'kmod', 'findutils', 'grep', 'sed', 'gawk', 'tar', 'libstdc++6', 'e2fsprogs'],
  ...[
    'qemu-system-x86',
    'swtpm',
    'swtpm-tools',
    'tpm2-tools',
    'openssl',
    'socat',
    'python3-minimal',
  ],
  ...['systemd', 'dbus', 'dbus-user-session'],
]

/** In a file, because tar appends to nothing else; what is named twice stays as it was named first. */
const MAKE_IMAGE = `
image=$1 base=$2 kernel=$3 qemu=$4 node=$5; shift 5
archive=$(mktemp --suffix=.tar); trap 'rm -f "$archive"' EXIT

# By way of the merged /usr; documentation and translations are left out.
package_files() {
  apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \\
    --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9]' | sort -u |
    { xargs dpkg-query --listfiles 2>/dev/null || true; } |
    grep -vE '^/usr/share/(doc|man|locale|info|lintian|iso-codes|xml|perl5|bug)(/|$)|^/\\.$' |
    sed -E 's#^/(bin|sbin|lib|lib32|lib64|libx32)(/|$)#/usr/\\1\\2#' | sort -u |
    while read -r file; do
      if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\\n' "\${file#/}"; fi
    done
  printf '%s\\n' bin sbin lib lib64
}

if [ "$base" = / ]; then
  package_files "$@" | tar --create --file="$archive" --directory=/ --no-recursion --files-from=-
else
  tar --create --file="$archive" --directory="$base" --one-file-system --transform='s#^\\./##' .
fi
tar --append --file="$archive" --directory="$kernel" --transform='s#^lib/#usr/lib/#' lib/modules
tar --append --file="$archive" --directory=/ "\${qemu#/}"
tar --append --file="$archive" --absolute-names --transform='s#^.*$#usr/local/bin/node#' "$node"
sqfstar -quiet -no-progress -all-root -noI -noD -noF -noX "$image" <"$archive" 2>/dev/null
`

/** Changes with any file of a tree. */
const LIST_TREE = `find "$1" -xdev -printf '%p %s %m %T@\\n' | sort`

/** @param tree - A directory with a Debian root file system; undefined: this machine's packages. */
export async function rootImage(tree: string | undefined): Promise<string> {
  const node = realpathSync(process.execPath)
  const inputs = [MAKE_IMAGE, kernelRelease(), recentQemuDirectory(), node, process.version]
  const contents = tree === undefined ? packagesKey() : await bash(LIST_TREE, tree)
  return cachedImage('root', [...inputs, contents], (image) =>
    bash(MAKE_IMAGE, image, tree ?? '/', kernelTree, recentQemuDirectory(), node, ...packages),
  )
}

/** Changes with any package that is installed or upgraded. */
function packagesKey(): string {
  return [...packages, readFileSync('/var/lib/dpkg/status', 'utf8')].join('\n')
}
