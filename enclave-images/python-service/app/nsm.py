"""Asks /dev/nsm for attestation documents, as AWS's library does (linux/nsm.h, struct nsm_raw)."""

import ctypes
import fcntl

import cbor2

NSM_IOCTL = 0xC0200A00
MAX_RESPONSE_BYTES = 0x3000


class _Raw(ctypes.Structure):
    _fields_ = [
        ("request", ctypes.c_void_p),
        ("request_bytes", ctypes.c_uint64),
        ("response", ctypes.c_void_p),
        ("response_bytes", ctypes.c_uint64),
    ]


def _ask(request):
    sent = ctypes.create_string_buffer(cbor2.dumps(request))
    received = ctypes.create_string_buffer(MAX_RESPONSE_BYTES)
    raw = _Raw(
        ctypes.addressof(sent), len(sent) - 1, ctypes.addressof(received), MAX_RESPONSE_BYTES
    )
    with open("/dev/nsm", "r+b", buffering=0) as device:
        fcntl.ioctl(device, NSM_IOCTL, raw, True)
    return cbor2.loads(received.raw[: raw.response_bytes])


def attestation_document(nonce):
    """Returns the COSE_Sign1 bytes of a document with this nonce (at most 1024 bytes)."""
    answer = _ask({"Attestation": {"nonce": nonce, "user_data": None, "public_key": None}})
    if "Error" in answer:
        raise ValueError(answer["Error"])
    return answer["Attestation"]["document"]
