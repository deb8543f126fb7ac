// nitro-cli's error numbers: E00 to E60 of nitro-cli 1.5.0, and what each means. Which of them Cloister
// gives for which of its own codes is in src/error-table.ts.

export interface NitroError {
  /** nitro-cli's name for it. */
  readonly name: string
  readonly meaning: string
}

/** By number. */
export const nitroErrors: readonly NitroError[] = (
  [
    ['Unspecified', 'an error without its own number'],
    ['MissingArgument', 'an argument, or a key of the --config file, is missing'],
    ['ConflictingArgument', 'two arguments, or two keys of the --config file, exclude each other'],
    ['InvalidArgument', 'the value of an argument is invalid'],
    ['SocketPair', 'a socket pair could not be created'],
    ['ProcessSpawn', 'a process could not be started'],
    ['Daemonize', 'the enclave process could not become a daemon'],
    ['ReadFromDisk', 'a file could not be read'],
    ['UnusableConnection', 'a connection cannot be used'],
    ['SocketClose', 'a socket could not be closed'],
    ['SocketConnectTimeout', 'a connection timed out'],
    ['Socket', 'a socket failed, for example because no enclave process listens on it'],
    ['Epoll', 'waiting for events failed'],
    ['Inotify', 'watching a file failed'],
    ['InvalidCommand', 'the enclave process does not support the command'],
    ['LockAcquire', 'a lock could not be acquired'],
    ['ThreadJoin', 'a thread ended with an error'],
    ['Serde', 'data could not be written or read as JSON or CBOR'],
    ['FilePermissions', 'the permissions of a file could not be set'],
    ['FileOperation', 'a file could not be opened, read or written'],
    ['InvalidCpuConfiguration', 'the requested CPUs cannot be used together'],
    ['NoSuchCpuInPool', 'a requested CPU is not available'],
    ['InsufficientCpus', 'fewer CPUs are available than requested'],
    ['MalformedCpuId', 'a CPU number is invalid'],
    ['Cpu', 'the CPUs of the host cannot be read'],
    ['NoSuchHugepageFlag', 'the host has no huge pages of that size'],
    ['InsufficientMemoryRequested', 'the requested memory is too little for the image'],
    ['InsufficientMemoryAvailable', 'less memory is available than requested'],
    ['InvalidEnclaveFd', 'the driver returned an invalid enclave descriptor'],
    ['Ioctl', 'the driver refused a request'],
    ['IoctlImageLoadInfo', 'the driver did not return the load address of the image'],
    ['IoctlSetMemoryRegion', 'the driver refused the memory of the enclave'],
    ['IoctlAddVcpu', 'the driver refused a vCPU'],
    [
      'IoctlEnclaveStart',
      'the enclave could not be started, for example because its CID is in use',
    ],
    ['MemoryOverflow', 'an address or a size is out of range'],
    ['EifParsing', 'the enclave image cannot be read or is not valid'],
    ['EnclaveBoot', 'the enclave did not boot'],
    ['EnclaveEventWait', 'waiting for events of the enclave failed'],
    ['EnclaveProcessCommandNotExecuted', 'the enclave process did not run the command'],
    ['EnclaveProcessConnection', 'the enclave process could not be reached, or has exited'],
    ['SocketPathNotFound', 'the path of a socket is invalid'],
    ['EnclaveProcessSendReply', 'the enclave process could not answer'],
    ['Mmap', 'memory could not be mapped'],
    ['Munmap', 'memory could not be unmapped'],
    ['ConsoleConnection', 'there is no console: the enclave is not in debug mode'],
    ['ConsoleRead', 'the console could not be read, for example because the enclave ended'],
    ['ConsoleWriteOutput', 'the console could not be written to standard output'],
    ['IntegerParsing', 'a number is invalid'],
    ['EifBuilding', 'the enclave image could not be built'],
    ['DockerImageBuild', 'the container image could not be built'],
    ['DockerImagePull', 'the container image could not be fetched'],
    ['ArtifactsPathNotSet', 'the directory for build artifacts is not known'],
    ['BlobsPathNotSet', 'the directory of the kernel and the init is not known'],
    ['ClockSkew', 'the system clock is wrong'],
    ['SignalMasking', 'signals could not be blocked'],
    ['SignalUnmasking', 'signals could not be unblocked'],
    ['Logger', 'the log could not be written'],
    ['Hasher', 'a measurement could not be computed'],
    ['EnclaveNaming', 'no enclave has that name, or a name could not be assigned'],
    ['EIFSignatureChecker', 'the signature of the enclave image is not valid'],
    ['EIFSigning', 'the enclave image could not be signed'],
  ] as const
).map(([name, meaning]) => ({ name, meaning }))
