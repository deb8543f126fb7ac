// Names of images as Docker writes them: [DOMAIN/]PATH[:TAG][@DIGEST], by the grammar of
// distribution/reference. Short names belong to Docker Hub.

export interface DockerReference {
  readonly domain: string
  /** Of a Docker Hub image without a slash: `library/NAME`. */
  readonly path: string
  readonly tag?: string
  readonly digest?: string
}

const DOMAIN = String.raw`(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?`
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const REFERENCE = new RegExp(
  `^(?:(${DOMAIN})/)?(${COMPONENT}(?:/${COMPONENT})*)` +
    String.raw`(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`,
)
const MAX_NAME_BYTES = 255
const DOCKER_HUB = 'docker.io'

/** Undefined for a text that is not an image name. */
export function parseDockerReference(text: string): DockerReference | undefined {
  if (text.length > 2 * MAX_NAME_BYTES) return undefined
  const match = REFERENCE.exec(text)
  if (match === null) return undefined
  const [, first = '', rest = '', tag, digest] = match
  const isDomain = first === 'localhost' || /[.:]/.test(first)
  const name = isDomain || first === '' ? rest : `${first}/${rest}`
  // The first part, when it is not a domain, belongs to the path: lower case only.
  if (!isDomain && !new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`).test(name)) return undefined
  const domain = isDomain && first !== 'index.docker.io' ? first : DOCKER_HUB
  const path = domain === DOCKER_HUB && !name.includes('/') ? `library/${name}` : name
  return {
    domain,
    path,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  }
}

/** The whole name, with the tag `latest` where neither tag nor digest is given. */
export function canonicalReference({ domain, path, tag, digest }: DockerReference): string {
  const suffix = tag === undefined && digest === undefined ? ':latest' : ''
  return `${domain}/${path}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? suffix : `@${digest}`}`
}

/** As Docker has it: a registry on this machine may speak plain HTTP. */
export function isLoopback({ domain }: DockerReference): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(domain)
}
