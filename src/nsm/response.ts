// Encodes a response as AWS's NSM does: a unit answer is its name, any other a map of one entry,
// fields in AWS's order.

import { cborMap, encodeCbor, type CborInput } from '../cbor.ts'
import { PCR_COUNT, type NsmResponse } from './protocol.ts'

/** A response as the CBOR that `/dev/nsm` returns. */
export function encodeResponse(response: NsmResponse): Uint8Array {
  return encodeCbor(message(response))
}

function message(response: NsmResponse): CborInput {
  switch (response.type) {
    case 'LockPCR':
    case 'LockPCRs':
      return response.type
    case 'Error':
      return cborMap({ Error: response.error })
    case 'DescribeNSM':
      return cborMap({ DescribeNSM: description(response) })
    case 'DescribePCR':
      return cborMap({ DescribePCR: cborMap({ lock: response.lock, data: response.data }) })
    case 'ExtendPCR':
      return cborMap({ ExtendPCR: cborMap({ data: response.data }) })
    case 'Attestation':
      return cborMap({ Attestation: cborMap({ document: response.document }) })
    case 'GetRandom':
      return cborMap({ GetRandom: cborMap({ random: response.random }) })
  }
}

// The version that AWS's NSM reports.
function description(response: Extract<NsmResponse, { type: 'DescribeNSM' }>): CborInput {
  return cborMap({
    version_major: 1,
    version_minor: 0,
    version_patch: 0,
    module_id: response.moduleId,
    max_pcrs: PCR_COUNT,
    locked_pcrs: response.lockedPcrs,
    digest: 'SHA384',
  })
}
