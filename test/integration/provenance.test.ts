// build-enclave --provenance and reproduce: what an image was built from, and whether it is that again.

import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { tarOf, writeLayout } from '../fixtures/image/archive.ts'
import { helloRootfs, TestHost } from '../host.ts'

interface Reproduction {
  readonly Reproduced: boolean
  readonly StatementSignature: string
  readonly Subjects: readonly { readonly Name: string; readonly Same: boolean | null }[]
  readonly Inputs: readonly { readonly Name: string; readonly Same: boolean | null }[]
}

let host: TestHost

beforeAll(async () => {
  host = new TestHost()
  mkdirSync(host.path('rootfs'))
  cpSync(join(helloRootfs, 'hello'), host.path('rootfs/app'))
  writeFileSync(host.path('metadata.json'), '{"n": 9007199254740993}')
  writeFileSync(
    host.path('cloister.yaml'),
    "cloister: 1\nname: web\nversion: '1'\nsource: { rootfs: rootfs }\nrun: { entrypoint: [/app] }\n",
  )
  const keys = ['prime256v1', 'secp521r1'].map(
    (curve) => `openssl ecparam -name ${curve} -genkey -noout -out ${curve}.key &&
      openssl pkey -in ${curve}.key -pubout -out ${curve}.pub`,
  )
  const signer = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 2 \
    -subj /CN=signer -keyout signer.key -out signer.crt`
  const other =
    'openssl genpkey -algorithm ed25519 -out ed.key && openssl pkey -in ed.key -pubout -out ed.pub'
  const { status } = await host.shell([...keys, signer, other].join(' && '))
  expect(status).toBe(0)
})

afterAll(() => {
  host.discard()
})

async function build(...flags: readonly string[]): Promise<void> {
  const args = ['--output-file', 'web.eif', '--provenance', 'web.json', '--quiet', ...flags]
  const { status, stderr } = await host.shell(`cloister build ${args.join(' ')}`)
  expect({ status, stderr }).toMatchObject({ status: 0 })
}

async function reproduce(status: number, ...args: readonly string[]): Promise<Reproduction> {
  const result = await host.shell(`cloister reproduce web.json --quiet ${args.join(' ')}`)
  expect(result).toMatchObject({ status, stderr: '' })
  return JSON.parse(result.stdout) as Reproduction
}

function different({ Subjects, Inputs }: Reproduction): readonly string[] {
  return [...Subjects, ...Inputs].filter(({ Same }) => Same === false).map(({ Name }) => Name)
}

function statement(): Record<string, unknown> {
  return JSON.parse(readFileSync(host.path('web.json'), 'utf8')) as Record<string, unknown>
}

describe('a build', () => {
  test('from a manifest is repeated to the byte, in another directory too', async () => {
    await build('--manifest', 'cloister.yaml', '--metadata', 'metadata.json')
    const same = await reproduce(0)
    expect(same).toMatchObject({ Reproduced: true, StatementSignature: 'none' })
    expect(same.Subjects.map(({ Name }) => Name)).toEqual(['web.eif', 'PCR0', 'PCR1', 'PCR2'])
    expect(JSON.stringify(statement())).not.toContain(host.directory)
    cpSync(host.path('rootfs'), host.path('moved'), { recursive: true })
    expect(different(await reproduce(0, '--rootfs', 'moved'))).toEqual([])
  })

  test('whose root or kernel is another one is told apart, with the input that differs', async () => {
    await build('--rootfs', 'rootfs', '--entrypoint', '/app')
    cpSync(host.path('rootfs'), host.path('changed'), { recursive: true })
    appendFileSync(host.path('changed/app'), ' ')
    expect(different(await reproduce(1, '--rootfs', 'changed'))).toEqual([
      'web.eif',
      'PCR0',
      'PCR2',
    ])
    await build('--rootfs', 'rootfs', '--entrypoint', '/app', '--init', 'rootfs/app')
    expect(different(await reproduce(1))).toEqual(['web.eif', 'PCR0', 'PCR1', 'init'])
  })

  test('of a container image names it, and finds it changed', async () => {
    const layout = async (name: string, text: string): Promise<void> => {
      const layer = await tarOf([{ name: 'app', data: text, mode: 0o755 }])
      await writeLayout(host.path(name), { layers: [layer], config: { Entrypoint: ['/app'] } })
    }
    await layout('layout', 'one')
    await build('--docker-uri', 'oci:layout')
    expect((await reproduce(0)).Inputs.map(({ Name }) => Name)).toEqual(['kernel', 'init', 'image'])
    await layout('other', 'two')
    const changed = different(await reproduce(1, '--docker-uri', 'oci:other'))
    expect(changed).toEqual(expect.arrayContaining(['PCR0', 'PCR2', 'image']))
  })

  test('that was signed is compared as far as the keys go', async () => {
    const keys = ['--signing-certificate', 'signer.crt', '--private-key', 'signer.key']
    await build('--rootfs', 'rootfs', '--entrypoint', '/app', ...keys)
    const { Subjects } = await reproduce(0)
    expect(Subjects.map(({ Same }) => Same)).toEqual([null, true, true, true, null])
    expect((await reproduce(0, ...keys)).Subjects.map(({ Same }) => Same)).toEqual(
      new Array(5).fill(true),
    )
  })
})

describe('a signed statement', () => {
  /** What DSSE signs, put together by a shell, and judged by openssl. */
  const judged = (key: string, hash: string): string => `
    python3 - <<'EOF'
import base64, json
e = json.load(open('web.json'))
p = base64.b64decode(e['payload'])
t = e['payloadType'].encode()
open('pae', 'wb').write(b'DSSEv1 %d %s %d %s' % (len(t), t, len(p), p))
open('sig', 'wb').write(base64.b64decode(e['signatures'][0]['sig']))
EOF
    openssl ${hash === '' ? `pkeyutl -verify -rawin -pubin -inkey ${key} -sigfile sig -in pae` : `dgst -${hash} -verify ${key} -signature sig pae`}`

  test.each([
    ['prime256v1', 'sha256'],
    ['secp521r1', 'sha512'],
    ['ed', ''],
  ])('by %s is one to openssl, and to reproduce', async (key, hash) => {
    await build('--rootfs', 'rootfs', '--entrypoint', '/app', '--provenance-key', `${key}.key`)
    expect(await host.shell(judged(`${key}.pub`, hash))).toMatchObject({ status: 0 })
    expect(await reproduce(0, '--key', `${key}.pub`)).toMatchObject({
      StatementSignature: 'verified',
    })
    expect(await reproduce(0)).toMatchObject({ StatementSignature: 'not verified' })
  })

  test('of another key, changed, or missing, is refused', async () => {
    const refused = async (key: string): Promise<void> => {
      const { status, stderr, stdout } = await host.shell(
        `cloister reproduce web.json --key ${key}`,
      )
      expect({ status, stderr, stdout }).toMatchObject({ status: 1, stdout: '' })
      expect(stderr).toContain('ERR_PROVENANCE_SIGNATURE')
    }
    await build('--rootfs', 'rootfs', '--entrypoint', '/app', '--provenance-key', 'prime256v1.key')
    await refused('secp521r1.pub')
    const { payload, ...rest } = statement()
    const text = Buffer.from(payload as string, 'base64')
      .toString()
      .replace('/app', '/apq')
    writeFileSync(
      host.path('web.json'),
      JSON.stringify({ ...rest, payload: Buffer.from(text).toString('base64') }),
    )
    await refused('prime256v1.pub')
    await build('--rootfs', 'rootfs', '--entrypoint', '/app')
    await refused('prime256v1.pub')
  })

  test('takes a key that can sign it, and something to sign', async () => {
    await host.shell('openssl genrsa -out rsa.key 2048')
    const sign = (key: string, more = '--provenance web.json'): Promise<object> =>
      host.shell(
        `cloister build --quiet --rootfs rootfs --entrypoint /app --output-file w.eif ${more} --provenance-key ${key}`,
      )
    for (const key of ['rsa.key', 'signer.crt', 'cloister.yaml'])
      expect(await sign(key)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('ERR_PROVENANCE_KEY') as string,
      })
    expect(await sign('ed.key', '')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('ERR_CLI_ARGUMENT') as string,
    })
  })
})

describe('a statement of somebody else', () => {
  const cases: Readonly<Record<string, (it: Record<string, unknown>) => unknown>> = {
    'that is no JSON': () => '{',
    'of another kind': (it) => ({ ...it, predicateType: 'https://slsa.dev/provenance/v0.2' }),
    'with a key that nobody would repeat': (it) => ({ ...it, extra: 1 }),
    'without a PCR': (it) => ({ ...it, subject: (it['subject'] as unknown[]).slice(0, 2) }),
    'without a file': (it) => ({ ...it, subject: (it['subject'] as unknown[]).slice(1) }),
    'nested a thousand deep': () => '['.repeat(1000),
    'larger than any': () => ' '.repeat(600_000),
  }

  test.each(Object.entries(cases))('%s is refused before anything is built', async (_, change) => {
    await build('--rootfs', 'rootfs', '--entrypoint', '/app')
    const changed = change(statement())
    writeFileSync(
      host.path('web.json'),
      typeof changed === 'string' ? changed : JSON.stringify(changed),
    )
    const { status, stderr, stdout } = await host.shell('cloister reproduce web.json')
    expect(status).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/ERR_PROVENANCE_STATEMENT|ERR_FILE_INPUT/)
    expect(stderr).toContain('What to do:')
  })
})
