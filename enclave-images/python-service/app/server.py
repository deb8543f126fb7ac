"""An HTTP service: / greets, /attestation?nonce=HEX returns an attestation document."""

from flask import Flask, Response, request

import nsm

app = Flask(__name__)


@app.get("/")
def greeting():
    return "Hello from Python in an enclave.\n"


@app.get("/attestation")
def attestation():
    try:
        document = nsm.attestation_document(bytes.fromhex(request.args.get("nonce", "")))
    except ValueError as refusal:
        return Response(f"nonce: {refusal}\n", status=400, mimetype="text/plain")
    return Response(document, mimetype="application/cbor")


app.run(host="127.0.0.1", port=8080)
