// Images that are not on this disk yet, copied into an OCI layout by the tool for it: skopeo from a
// registry or a Docker daemon, with the user's own credentials and policy; buildah from a Dockerfile.
// What they leave there is verified like any other layout.

import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { CloisterError, check, reasonOf } from '../../errors.ts'
import type { Architecture } from '../../eif/index.ts'
import { canonicalReference, isLoopback, type DockerReference } from '../oci/docker-reference.ts'
import { PLATFORM_NAMES } from '../oci/image-description.ts'
import type { TimesRule } from '../tree/times.ts'
import type { LayeredImage } from './layered-source.ts'
import { runTool } from './tool.ts'

/** The name of the image in the layout. */
const TAG = 'image'
const FAILURE = 'ERR_IMAGE_DOCKERFILE'

export interface CopyOptions {
  readonly architecture: Architecture
  /** An existing private directory; the layout is created in it. */
  readonly directory: string
}

/**
 * Copies an image from a registry or the local Docker daemon.
 * @throws ERR_IMAGE_TOOL_MISSING, ERR_IMAGE_PULL
 */
export async function copyImage(
  transport: 'docker' | 'docker-daemon',
  image: DockerReference,
  { architecture, directory }: CopyOptions,
): Promise<LayeredImage> {
  const path = join(directory, 'layout')
  const name = canonicalReference(image)
  const source = transport === 'docker' ? `docker://${name}` : `docker-daemon:${name}`
  const isInsecure = transport === 'docker' && isLoopback(image)
  const tool = { name: 'skopeo', failure: 'ERR_IMAGE_PULL', env: skopeoEnvironment() } as const
  await runTool({ ...tool, advise: (words) => adviceOn(words, name) }, [
    ...(hasPolicy() ? [] : ['--insecure-policy']),
    '--override-os=linux',
    `--override-arch=${PLATFORM_NAMES[architecture]}`,
    'copy',
    '--quiet',
    ...(isInsecure ? ['--src-tls-verify=false'] : []),
    ...(transport === 'docker-daemon' ? daemonHost() : []),
    source,
    `oci:${path}:${TAG}`,
  ])
  return { transport: 'oci', path, tag: TAG }
}

/**
 * Builds an image of a directory with a Dockerfile.
 * @throws ERR_IMAGE_TOOL_MISSING, ERR_IMAGE_DOCKERFILE
 */
export async function buildDockerfile(
  context: string,
  { architecture, directory, times }: CopyOptions & { readonly times: TimesRule },
): Promise<LayeredImage> {
  const file = await dockerfileIn(context)
  const path = join(directory, 'layout')
  await runTool({ name: 'buildah', failure: FAILURE }, [
    'build',
    '--isolation=chroot',
    // It would also be the time of every file that the build adds.
    ...(times === 'zero' ? ['--timestamp=0'] : []),
    '--format=oci',
    '--os=linux',
    `--arch=${PLATFORM_NAMES[architecture]}`,
    `--file=${file}`,
    `--tag=oci:${path}:${TAG}`,
    // Not a word that could be an option.
    resolve(context),
  ])
  return { transport: 'oci', path, tag: TAG }
}

async function dockerfileIn(context: string): Promise<string> {
  const advice = { details: { context }, hint: 'Give the directory that has the Dockerfile.' }
  const status = await stat(context).catch((cause: unknown) => {
    throw new CloisterError(FAILURE, `cannot read ${context}: ${reasonOf(cause)}`, advice)
  })
  check(status.isDirectory(), FAILURE, `${context} is not a directory`, advice)
  const names = ['Dockerfile', 'Containerfile'].map((name) => join(context, name))
  const file = names.find((name) => existsSync(name))
  check(file !== undefined, FAILURE, `${context} has no Dockerfile`, advice)
  return file
}

/** What to do about the failures of skopeo that people meet, by its words. */
const ADVICE: readonly (readonly [words: RegExp, (image: string) => string])[] = [
  [
    /Cannot connect to the Docker daemon|docker\.sock/,
    (image) =>
      `Start the Docker daemon, set DOCKER_HOST, or leave \`docker-daemon:\` out to pull ${image} from its registry.`,
  ],
  [
    /connection refused|no such host|i\/o timeout|network is unreachable|no route to host/,
    () => "Check the registry's host name and port, and that this host can reach it.",
  ],
  [
    /x509:|certificate|server gave HTTP response to HTTPS client/,
    () =>
      'Install the certificate of the registry in /etc/containers/certs.d; plain HTTP is used for localhost only.',
  ],
  [
    /manifest unknown|name unknown|not found|reference does not exist|No such image/i,
    (image) => `Check the name and the tag: there is no ${image} there.`,
  ],
  [
    /unauthorized|denied|authentication required/i,
    () => 'Check the name; for a private registry, log in first: `skopeo login REGISTRY`.',
  ],
]

function adviceOn(words: string, image: string): string | undefined {
  return ADVICE.find(([known]) => known.test(words))?.[1](image)
}

/** Where Docker's own tools would look; skopeo only knows the default. */
function daemonHost(): readonly string[] {
  const { DOCKER_HOST } = process.env
  if (DOCKER_HOST === undefined || DOCKER_HOST === '') return []
  return [`--src-daemon-host=${DOCKER_HOST}`]
}

/** DOCKER_CONFIG selects the credentials too, as it does for Docker and nitro-cli. */
function skopeoEnvironment(): NodeJS.ProcessEnv {
  const { DOCKER_CONFIG, REGISTRY_AUTH_FILE } = process.env
  if (DOCKER_CONFIG === undefined || REGISTRY_AUTH_FILE !== undefined) return process.env
  const file = join(DOCKER_CONFIG, 'config.json')
  return existsSync(file) ? { ...process.env, REGISTRY_AUTH_FILE: file } : process.env
}

/** skopeo refuses to work without a signature policy, and some of its packages ship without one. */
function hasPolicy(): boolean {
  const paths = [join(homedir(), '.config/containers/policy.json'), '/etc/containers/policy.json']
  return paths.some((path) => existsSync(path))
}
