// What kind of host the lab is, as data.

export interface LabOptions {
  readonly memoryMib: number
  /** With the firmware's measured boot (OVMF) instead of SeaBIOS. */
  readonly uefi: boolean
  /** With a TPM 2.0: /dev/tpm0 and /dev/tpmrm0. */
  readonly tpm: boolean
  /** With systemd as PID 1, and commands as children of a service. */
  readonly systemd: boolean
  /** False: `user.max_user_namespaces` is 0. */
  readonly userNamespaces: boolean
  /** Kernel modules to load beside those for KVM and TUN, for example `vhost_vsock`. */
  readonly modules: readonly string[]
  /** Another root than this machine's own packages: the directory of a Debian tree. */
  readonly rootTree: string | undefined
  /** A directory that the host sees, for reading, at /files. */
  readonly files: string | undefined
  /** A disk image that is made when it is missing and is there again at the next boot: /persistent. */
  readonly disk: string | undefined
}

export const defaultOptions: LabOptions = {
  memoryMib: 4096,
  uefi: false,
  tpm: false,
  systemd: false,
  userNamespaces: true,
  modules: [],
  rootTree: undefined,
  files: undefined,
  disk: undefined,
}
