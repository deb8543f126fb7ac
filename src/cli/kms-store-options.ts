// Where the broker's store is, and what opens it: options that several commands share.

import { join } from 'node:path'
import { Option } from 'commander'
import { deviceStorage, hostChipStorage, type StorageTpm } from '../chip/index.ts'
import { openDirectories } from '../enclaves/index.ts'
import { CloisterError } from '../errors.ts'
import type { FileOrToken, MasterKeySource } from '../kms/index.ts'

export interface MasterKeyFlags {
  readonly passphraseFile?: string
  readonly masterKeyFile?: string
  readonly masterKeyPkcs11?: string
  readonly pkcs11PinFile?: string
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
  return [...masterKeySourceOptions().map((one) => one.conflicts('masterKeyTpm')), tpm]
}

/** Master keys that are not in a TPM. */
export function masterKeySourceOptions(): readonly Option[] {
  return [
    new Option('--passphrase-file <file>', 'the master key is made from this passphrase').conflicts(
      ['masterKeyFile', 'masterKeyPkcs11'],
    ),
    new Option(
      '--master-key-file <file>',
      'the master key: 32 bytes, or 64 hexadecimal digits',
    ).conflicts('masterKeyPkcs11'),
    new Option(
      '--master-key-pkcs11 <uri>',
      'the master key is made by an AES-256 key on a PKCS#11 token (pkcs11:token=…;object=…?module-path=…)',
    ),
    new Option('--pkcs11-pin-file <file>', "the token's PIN"),
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
  const source = masterKeySourceOf(flags)
  if (source !== undefined) return source
  throw wrong(
    'no master key is given',
    'Give --passphrase-file, --master-key-file, --master-key-pkcs11 or --master-key-tpm.',
  )
}

export function masterKeySourceOf(flags: MasterKeyFlags): FileOrToken | undefined {
  const { passphraseFile, masterKeyFile, masterKeyPkcs11: pkcs11, pkcs11PinFile: pinFile } = flags
  if (pinFile !== undefined && pkcs11 === undefined)
    throw wrong('--pkcs11-pin-file is given alone', 'Give --master-key-pkcs11, too.')
  if (pkcs11 !== undefined) return { pkcs11, ...(pinFile === undefined ? {} : { pinFile }) }
  if (passphraseFile !== undefined) return { passphraseFile }
  return masterKeyFile === undefined ? undefined : { keyFile: masterKeyFile }
}

function wrong(message: string, hint: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, { hint })
}

export async function tpmOf({ masterKeyTpm }: MasterKeyFlags): Promise<StorageTpm | undefined> {
  if (masterKeyTpm === undefined) return undefined
  return masterKeyTpm === true
    ? await hostChipStorage(openDirectories().state)
    : deviceStorage(masterKeyTpm)
}
