// A TPM's key as a WebCrypto key, on @peculiar/webcrypto's provider model: X.509 issuing and COSE
// signing call `subtle.sign` and never see the TPM. Everything that is not a TPM's key is left to
// the stock ECDSA provider.

import type { webcrypto } from 'node:crypto'
import { Crypto } from '@peculiar/webcrypto'
import { CryptoKey, EcdsaProvider, type ProviderStorage } from 'webcrypto-core'

/** Signs with ECDSA and SHA-384; gives `r || s`, 96 bytes. */
export type SignMessage = (message: Uint8Array) => Promise<Uint8Array>

/** What signs with ECDSA P-384 and SHA-384, wherever its private half is. */
export interface P384Signer {
  readonly subtle: webcrypto.SubtleCrypto
  readonly privateKey: webcrypto.CryptoKey
}

class TpmPrivateKey extends CryptoKey {
  sign: SignMessage = () => Promise.reject(new TypeError('no TPM is attached to this key'))
}

/** A private, unextractable P-384 key whose signatures `sign` makes. */
export function tpmPrivateKey(sign: SignMessage): webcrypto.CryptoKey {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' }
  const key = TpmPrivateKey.create(algorithm, 'private', false, ['sign'])
  key.sign = sign
  return Object.freeze(key)
}

/** A WebCrypto `subtle` that also signs with the keys of {@link tpmPrivateKey}. */
export function createTpmSubtle(): webcrypto.SubtleCrypto {
  const { subtle } = new Crypto() as { subtle: webcrypto.SubtleCrypto & ProviderHolder }
  const stock = subtle.providers.get('ECDSA') as EcdsaProvider
  subtle.providers.set(new TpmEcdsaProvider(stock))
  return subtle
}

type ProviderMethod =
  'onSign' | 'onVerify' | 'onGenerateKey' | 'onImportKey' | 'onExportKey' | 'checkCryptoKey'

interface ProviderHolder {
  readonly providers: ProviderStorage
}

type Arguments<Method extends ProviderMethod> = Parameters<EcdsaProvider[Method]>

class TpmEcdsaProvider extends EcdsaProvider {
  readonly #stock: EcdsaProvider

  constructor(stock: EcdsaProvider) {
    super()
    this.#stock = stock
    this.namedCurves = stock.namedCurves
  }

  override async onSign(...args: Arguments<'onSign'>): Promise<ArrayBuffer> {
    const [algorithm, key, message] = args as [webcrypto.EcdsaParams, unknown, ArrayBuffer]
    if (!(key instanceof TpmPrivateKey)) return this.#stock.onSign(...args)
    if (hashName(algorithm) !== 'SHA-384') throw new TypeError('a TPM key signs with SHA-384')
    const signature = await key.sign(new Uint8Array(message))
    return signature.buffer as ArrayBuffer
  }

  override checkCryptoKey(...args: Arguments<'checkCryptoKey'>): void {
    if ((args[0] as unknown) instanceof TpmPrivateKey) super.checkCryptoKey(...args)
    else this.#stock.checkCryptoKey(...args)
  }

  override onVerify(...args: Arguments<'onVerify'>): Promise<boolean> {
    return this.#stock.onVerify(...args)
  }

  override onGenerateKey(
    ...args: Arguments<'onGenerateKey'>
  ): ReturnType<EcdsaProvider['onGenerateKey']> {
    return this.#stock.onGenerateKey(...args)
  }

  override onImportKey(
    ...args: Arguments<'onImportKey'>
  ): ReturnType<EcdsaProvider['onImportKey']> {
    return this.#stock.onImportKey(...args)
  }

  override onExportKey(
    ...args: Arguments<'onExportKey'>
  ): ReturnType<EcdsaProvider['onExportKey']> {
    return this.#stock.onExportKey(...args)
  }
}

function hashName({ hash }: webcrypto.EcdsaParams): string {
  return typeof hash === 'string' ? hash : hash.name
}
