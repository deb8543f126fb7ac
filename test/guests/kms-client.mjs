// A client of AWS KMS: AWS's SDK for JavaScript, which leaves documents to the proxy, or has the plugin of
// @cloister/kms-client. Region and credentials are in the environment. Prints what it found as JSON.
//
// Arguments: files with a ciphertext and another image's, the id of the key; for the plugin also JSON with the
// endpoint and the plugin's options. SIGNING_KEY is the id of a key that signs, if there is one.

import { readFileSync } from 'node:fs'
import { DecryptCommand, GenerateDataKeyCommand, KMSClient, SignCommand } from '@aws-sdk/client-kms'
import { attestedKms, attestWith, requireLockedPolicy } from '@cloister/kms-client'

const [sealed, other, KeyId, plugin] = process.argv.slice(2)
const kms = new KMSClient(plugin === undefined ? {} : { endpoint: JSON.parse(plugin).endpoint })

if (plugin !== undefined) {
  const { options } = JSON.parse(plugin)
  kms.middlewareStack.use(attestedKms(attestWith('/usr/bin/cloister-attest'), options))
  await requireLockedPolicy(kms, KeyId)
}
const decrypt = (CiphertextBlob) => kms.send(new DecryptCommand({ CiphertextBlob }))
const opened = await decrypt(readFileSync(sealed))
const dataKey = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
const again = await decrypt(dataKey.CiphertextBlob)
const refusal = await decrypt(readFileSync(other)).then(
  () => 'nothing',
  (error) => error.name,
)
async function signature() {
  const { SIGNING_KEY } = process.env
  if (SIGNING_KEY === undefined) return {}
  const [Message, SigningAlgorithm] = [Buffer.from('hi'), 'ECDSA_SHA_256']
  const command = new SignCommand({ KeyId: SIGNING_KEY, Message, SigningAlgorithm })
  return { signature: Buffer.from((await kms.send(command)).Signature).toString('base64') }
}
const found = {
  plaintext: Buffer.from(opened.Plaintext).toString(),
  dataKey: dataKey.Plaintext.length,
  dataKeyOpens: Buffer.from(again.Plaintext).equals(dataKey.Plaintext),
  otherImage: refusal,
  ...(await signature()),
}
process.stdout.write(JSON.stringify(found))
