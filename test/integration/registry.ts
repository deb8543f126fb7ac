// A real registry (distribution, Debian's docker-registry) on the loopback address.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export interface Registry extends AsyncDisposable {
  /** `localhost:PORT` */
  readonly host: string
}

/** The only account of a registry with a login; the hash is bcrypt's. */
export const account = {
  name: 'ali',
  password: 'open sesame',
  hash: '$2b$04$LxJHuRrzfYDy5Fz5yxS27.efvks3DPhvnnO5RouSq/YWMeALGGP9.',
} as const

export async function startRegistry(
  directory: string,
  { hasLogin = false }: { readonly hasLogin?: boolean } = {},
): Promise<Registry> {
  await mkdir(directory, { recursive: true })
  const port = await freePort()
  const htpasswd = join(directory, 'htpasswd')
  await writeFile(htpasswd, `${account.name}:${account.hash}\n`)
  const config = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') } },
    http: { addr: `127.0.0.1:${String(port)}` },
    ...(hasLogin && { auth: { htpasswd: { realm: 'test', path: htpasswd } } }),
  }
  const file = join(directory, 'config.yml')
  await writeFile(file, JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', file], { stdio: 'ignore' })
  await once(child, 'spawn')
  const host = `localhost:${String(port)}`
  await untilItAnswers(`http://${host}/v2/`)
  return {
    host,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilItAnswers(url: string): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const answer = await fetch(url).catch(() => undefined)
    if (answer !== undefined) return
    await delay(100)
  }
  throw new Error(`no registry answers at ${url}`)
}

/** What `skopeo login` or `docker login` would write. */
export function dockerConfig(host: string): string {
  const auth = Buffer.from(`${account.name}:${account.password}`).toString('base64')
  return JSON.stringify({ auths: { [host]: { auth } } })
}
