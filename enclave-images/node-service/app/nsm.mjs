// Asks /dev/nsm for attestation documents, as AWS's library does (linux/nsm.h, struct nsm_raw).

import { openSync } from 'node:fs'
import { decode, encode } from 'cborg'
import koffi from 'koffi'

const NSM_IOCTL = 0xc0200a00
const MAX_RESPONSE_BYTES = 0x3000

koffi.struct('iovec', { base: 'void *', length: 'size_t' })
koffi.struct('nsm_raw', { request: 'iovec', response: 'iovec' })
const ioctl = koffi.load('libc.so.6').func('int ioctl(int, unsigned long, _Inout_ nsm_raw *)')
const device = openSync('/dev/nsm', 'r+')

function ask(request) {
  const sent = Buffer.from(encode(request))
  const received = Buffer.alloc(MAX_RESPONSE_BYTES)
  const raw = {
    request: { base: sent, length: sent.length },
    response: { base: received, length: received.length },
  }
  if (ioctl(device, NSM_IOCTL, raw) !== 0) throw new Error(`ioctl: errno ${koffi.errno()}`)
  return decode(received.subarray(0, Number(raw.response.length)))
}

/** Returns the COSE_Sign1 bytes of a document with this nonce (at most 1024 bytes). */
export function attestationDocument(nonce) {
  const answer = ask({ Attestation: { nonce, user_data: null, public_key: null } })
  if (answer.Error !== undefined) throw new RangeError(answer.Error)
  return answer.Attestation.document
}
