// cloister policy: what the egress rules of a manifest, an image or an operator decide.

import { Command } from 'commander'
import { CloisterError } from '../errors.ts'
import { findNetworkCard } from '../enclaves/index.ts'
import { parseAnyEgress, peekManifest, type EgressPolicy } from '../manifest/index.ts'
import { explainFlow } from '../network/index.ts'
import { readFileArgument } from './arguments.ts'
import { printJson } from './print.ts'

const MAX_BYTES = 1024 * 1024

const NOTES = `
RULES is a manifest (cloister.yaml), an image (FILE.eif), or a file of rules as for run-enclave --egress. Names are not
looked up: they are assumed to have public addresses. The exit status is 0 for either decision, unless --expect is
given.

Examples:
  cloister policy test cloister.yaml api.example.com:443
  cloister policy test web.eif 10.1.2.3:53/udp --expect deny
`

/** `cloister policy`. */
export function policyCommand(): Command {
  const test = new Command('test')
    .description('explain what rules decide about HOST:PORT, and which rule would allow it')
    .argument('<rules>', 'a manifest, an image or a file of rules')
    .argument('<flow>', 'HOST:PORT, with /udp for UDP')
    .option('--expect <decision>', 'fail unless the decision is allow or deny, as given', decision)
    .addHelpText('after', NOTES)
    .action(testPolicy)
  return new Command('policy').description('test egress rules').addCommand(test)
}

function decision(text: string): 'allow' | 'deny' {
  if (text === 'allow' || text === 'deny') return text
  throw new CloisterError('ERR_CLI_ARGUMENT', `--expect ${text} is neither allow nor deny`)
}

async function testPolicy(
  rules: string,
  flow: string,
  { expect }: { readonly expect?: 'allow' | 'deny' },
): Promise<void> {
  const { allowed, why, rule, wouldAllow } = await explainFlow(
    findNetworkCard(),
    await readRules(rules),
    flow,
  )
  printJson({
    ...{ Flow: flow, Decision: allowed ? 'allow' : 'deny', Why: why },
    ...(rule !== undefined && { Rule: rule }),
    ...(wouldAllow !== undefined && { WouldAllow: wouldAllow }),
  })
  if (expect !== undefined && allowed !== (expect === 'allow'))
    throw new CloisterError(
      'ERR_NETWORK_DECISION',
      `the decision on ${flow} differs from --expect: ${why}`,
    )
}

async function readRules(path: string): Promise<EgressPolicy> {
  const egress = path.endsWith('.eif')
    ? (await peekManifest(path))?.egress
    : await parseAnyEgress(readFileArgument('<rules>', path, MAX_BYTES), path)
  if (egress !== undefined) return egress
  throw new CloisterError('ERR_CLI_ARGUMENT', `${path} has no egress rules: it allows nothing`)
}
