// What the operator says about an enclave's network: rules beside the image's, and resolvers.

import { Option } from 'commander'
import { CloisterError } from '../errors.ts'
import type { NetworkRequest } from '../enclaves/index.ts'
import { parseEgress } from '../manifest/index.ts'
import { checkPublications, parsePublication, parseResolver } from '../network/index.ts'
import { readFileArgument, RepeatedOption } from './arguments.ts'
import type { RunOptions } from './run-options.ts'

const MAX_BYTES = 1024 * 1024
/** As many as the network card asks. */
const MAX_RESOLVERS = 3

export function egressOption(): Option {
  return new Option(
    '--egress <file>',
    "YAML or JSON file of egress rules, in addition to the image's rules: both must allow a destination",
  )
}

export function dnsOption(): Option {
  return new Option('--dns <addresses...>', "DNS resolvers for the enclave (default: the host's)")
}

export function publishOption(): Option {
  return new RepeatedOption(
    '-p, --publish <publication>',
    '[address:]host-port:guest-port[/tcp|/udp]: clients of the host reach a port that the image declares',
    parsePublication,
  )
}

/** @throws `ERR_CLI_ARGUMENT`, `ERR_MANIFEST_YAML`, `ERR_MANIFEST_FIELD`, `ERR_NETWORK_PUBLISH` */
export async function networkOf({ egress, dns, publish }: RunOptions): Promise<NetworkRequest> {
  return {
    ...(egress !== undefined && {
      egress: await parseEgress(readFileArgument('--egress', egress, MAX_BYTES), egress),
    }),
    ...(dns !== undefined && { resolvers: resolversOf(dns) }),
    ...(publish !== undefined && { publications: checkPublications(publish) }),
  }
}

function resolversOf(addresses: readonly string[]): readonly string[] {
  if (addresses.length > MAX_RESOLVERS)
    throw new CloisterError('ERR_CLI_ARGUMENT', '--dns takes at most three resolvers')
  return addresses.map((text) => {
    const resolver = parseResolver(text)
    if (resolver === undefined)
      throw new CloisterError('ERR_CLI_ARGUMENT', `--dns ${text} is not an IP address`, {
        hint: 'Give an address, with a port if it is not 53: 192.0.2.53, 127.0.0.1:5353 or [2001:db8::1]:53.',
      })
    return resolver
  })
}
