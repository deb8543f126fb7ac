# A client of AWS KMS that knows nothing of enclaves: boto3, with its endpoint and keys from the environment. Prints what it
# found as JSON.

import base64, json, os, sys
import boto3
from botocore.exceptions import ClientError

sealed, symmetric, agreement, other, public = sys.argv[1:]
kms = boto3.client("kms")


def refusal(call, **request):
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "nothing"


def agree():
    return kms.derive_shared_secret(
        KeyId=agreement, KeyAgreementAlgorithm="ECDH", PublicKey=base64.b64decode(public)
    )


data_key = kms.generate_data_key(KeyId=symmetric, KeySpec="AES_256", EncryptionContext={"a": "b"})
pair = kms.generate_data_key_pair(KeyId=symmetric, KeyPairSpec="ECC_NIST_P256")
random = kms.generate_random(NumberOfBytes=48)
shared = agree()
blob = base64.b64decode(sealed)
decrypted = kms.decrypt(CiphertextBlob=blob, KeyId=symmetric)
encrypted = kms.encrypt(KeyId=symmetric, Plaintext=b"back and forth")
open_key = lambda blob, **more: kms.decrypt(CiphertextBlob=blob, **more)["Plaintext"]
stranger = boto3.client("kms", aws_secret_access_key="x" * 40, aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
answers = [data_key, pair, random, shared, decrypted]
print(
    json.dumps(
        {
            "plaintext": decrypted["Plaintext"].decode(),
            "dataKey": len(data_key["Plaintext"]),
            "dataKeyOpens": open_key(data_key["CiphertextBlob"], EncryptionContext={"a": "b"})
            == data_key["Plaintext"],
            "pairOpens": open_key(pair["PrivateKeyCiphertextBlob"]) == pair["PrivateKeyPlaintext"],
            "random": len(random["Plaintext"]),
            "sharedSecret": len(shared["SharedSecret"]),
            "sharedSecretIsTheSame": agree()["SharedSecret"] == shared["SharedSecret"],
            "encrypted": open_key(encrypted["CiphertextBlob"]).decode(),
            "hidden": [answer.get("CiphertextForRecipient") for answer in answers],
            "requestIds": len({answer["ResponseMetadata"]["RequestId"] for answer in answers}),
            "otherImage": refusal(kms.decrypt, CiphertextBlob=base64.b64decode(other)),
            "otherContext": refusal(kms.decrypt, CiphertextBlob=data_key["CiphertextBlob"]),
            "wrongSecret": refusal(stranger.decrypt, CiphertextBlob=blob),
        }
    )
)
