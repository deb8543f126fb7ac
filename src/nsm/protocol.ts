// The NSM's messages as data, its limits and its error names. AWS's nsm-api, src/api/mod.rs;
// limits: the ioctl of /dev/nsm and AWS's attestation_process.md section 3.2.2.

/** Every error that an NSM reports, by AWS's names. */
export type NsmErrorName =
  | 'InvalidArgument'
  | 'InvalidIndex'
  | 'ReadOnlyIndex'
  | 'InvalidOperation'
  | 'BufferTooSmall'
  | 'InputTooLarge'
  | 'InternalError'

export type NsmRequest =
  | { readonly type: 'DescribeNSM' }
  | { readonly type: 'DescribePCR'; readonly index: number }
  | { readonly type: 'ExtendPCR'; readonly index: number; readonly data: Uint8Array }
  | { readonly type: 'LockPCR'; readonly index: number }
  | { readonly type: 'LockPCRs'; readonly range: number }
  | ({ readonly type: 'Attestation' } & AttestationFields)
  | { readonly type: 'GetRandom' }

/** What the caller puts into a document: each absent, or up to 1024 bytes. */
export interface AttestationFields {
  readonly userData: Uint8Array | null
  readonly nonce: Uint8Array | null
  readonly publicKey: Uint8Array | null
}

export type NsmResponse =
  | NsmRefusal
  | {
      readonly type: 'DescribeNSM'
      readonly moduleId: string
      readonly lockedPcrs: readonly number[]
    }
  | { readonly type: 'DescribePCR'; readonly lock: boolean; readonly data: Uint8Array }
  | { readonly type: 'ExtendPCR'; readonly data: Uint8Array }
  | { readonly type: 'LockPCR' }
  | { readonly type: 'LockPCRs' }
  | { readonly type: 'Attestation'; readonly document: Uint8Array }
  | { readonly type: 'GetRandom'; readonly random: Uint8Array }

export interface NsmRefusal {
  readonly type: 'Error'
  readonly error: NsmErrorName
}

export const MAX_REQUEST_BYTES = 4096
export const MAX_RESPONSE_BYTES = 12288
/** user_data, nonce and public_key each; also the data of one ExtendPCR. */
export const MAX_FIELD_BYTES = 1024
export const RANDOM_BYTES = 256
export const PCR_COUNT = 32

export function refuse(error: NsmErrorName): NsmRefusal {
  return { type: 'Error', error }
}
