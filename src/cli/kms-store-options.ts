// Where the broker's store is, and what opens it: options that several commands share.

import { join } from 'node:path'
import { Option } from 'commander'
import { deviceStorage, hostChipStorage, type StorageTpm } from '../chip/index.ts'
import { openDirectories } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import type { MasterKeySource } from '../kms/index.ts'

export interface MasterKeyFlags {
  readonly passphraseFile?: string
  readonly masterKeyFile?: string
  /** True for the host chip. */
  readonly masterKeyTpm?: string | true
}

export function storeOption(): Option {
  return new Option(
    '--store <place>',
    'where the broker keeps its keys: a directory (default: <state>/kms), or postgresql://…',
  )
}

export function storeDirectory(store: string | undefined): string {
  return store ?? join(openDirectories().state, 'kms')
}

export function masterKeyOptions(): readonly Option[] {
  const tpm = masterKeyTpmOption()
  return [...masterKeyFileOptions().map((one) => one.conflicts('masterKeyTpm')), tpm]
}

export function masterKeyFileOptions(): readonly Option[] {
  return [
    new Option('--passphrase-file <file>', 'the master key is made from this passphrase').conflicts(
      'masterKeyFile',
    ),
    new Option('--master-key-file <file>', 'the master key: 32 bytes, or 64 hexadecimal digits'),
  ]
}

export function masterKeyTpmOption(): Option {
  return new Option(
    '--master-key-tpm [device]',
    'the master key is sealed to the host chip, or to this TPM (/dev/tpmrm0)',
  )
}

export async function masterKeyOf(flags: MasterKeyFlags): Promise<MasterKeySource> {
  const tpm = await tpmOf(flags)
  if (tpm !== undefined) return { tpm }
  const file = masterKeyFileOf(flags)
  if (file !== undefined) return file
  throw new CloisterError('ERR_CLI_ARGUMENT', 'no master key is given', {
    hint: 'Give --passphrase-file, --master-key-file or --master-key-tpm.',
  })
}

export function masterKeyFileOf({
  passphraseFile,
  masterKeyFile,
}: MasterKeyFlags): { passphraseFile: string } | { keyFile: string } | undefined {
  if (passphraseFile !== undefined) return { passphraseFile }
  return masterKeyFile === undefined ? undefined : { keyFile: masterKeyFile }
}

export async function tpmOf({ masterKeyTpm }: MasterKeyFlags): Promise<StorageTpm | undefined> {
  if (masterKeyTpm === undefined) return undefined
  return masterKeyTpm === true
    ? await hostChipStorage(openDirectories().state)
    : deviceStorage(masterKeyTpm)
}
