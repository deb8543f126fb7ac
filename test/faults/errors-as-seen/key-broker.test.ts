// Errors of the key broker as a person sees them. See failing-host.ts.

import { describe, test } from 'vitest'
import { failingHost, type Row } from '../../fixtures/failing-host.ts'

const here = failingHost()

/** Makes a broker's store, by starting one and ending it. */
const MAKE_STORE = `serve > out & for n in {1..300}; do grep -q '}' out && break; sleep 0.1; done
  kill "$(sed -n 's/.*ProcessID": //p' out)"; wait; rm out`

/** Starts a broker after `change`. */
function serveKms(change: string, ...args: readonly string[]): string {
  const principal = {
    arn: 'arn:aws:iam::111122223333:user/app',
    accessKeys: [{ accessKeyId: 'AKIATEST000000000000', secretAccessKey: 'x'.repeat(40) }],
  }
  const file = JSON.stringify({ version: 1, principals: [principal] })
  return `umask 077; rm -rf kms p.json master; echo '${file}' > p.json; printf %064d 1 > master
    serve() { cloister kms serve --store kms --credentials p.json --master-key-file master --port 0 "$@"; }
    ${change}
    serve ${args.join(' ')}`
}

const rows: readonly Row[] = [
  ['ERR_KMS_CREDENTIALS', 'a principal that is not one', serveKms(`sed -i s/user/usr/ p.json`)],
  ['ERR_KMS_CREDENTIALS', 'keys that everybody can read', serveKms('chmod 644 p.json')],
  [
    'ERR_KMS_MASTER_KEY',
    'the key of another store',
    serveKms(`${MAKE_STORE}\nprintf %064d 2 > master`),
  ],
  ['ERR_KMS_STORE', 'a store of noise', serveKms('mkdir kms; yes | head -c 9999 > kms/kms.db')],
  ['ERR_KMS_LISTEN', 'an address that others reach', serveKms('', '--host', '0.0.0.0')],
  [
    'ERR_KMS_AUDIT',
    'a log that does not reach the noted end',
    serveKms(`${MAKE_STORE}
      cloister kms audit verify --store kms --head 9:$(printf %064d 0); exit $?`),
  ],
]

describe('a person sees', () => {
  test.each(rows)('%s for %s', async (code, _what, script) => {
    await here.fails(code, script)
  })
})
