// cloister kms policy test: what a key policy decides about a request, statement by statement, and what in
// it defeats attestation.

import { Command, Option } from 'commander'
import {
  accountOf,
  decide,
  findGrantWarnings,
  findPolicyWarnings,
  isPrincipalArn,
  parseGrants,
  parseKeyPolicy,
  ROOT_CONDITION_KEY,
  ruleOnDocument,
  type Decision,
  type Grant,
  type PolicyDocument,
  type PolicyKind,
  type PolicyWarning,
  type RequestContext,
  type StatementReport,
} from '@cloister/attestation/policy'
import { CloisterError } from '../errors.ts'
import { ACTIONS, brokerWarnings, parseStrictJson } from '../kms/index.ts'
import { readFileArgument } from './arguments.ts'
import { policyGenerateCommand } from './kms-policy-generate.ts'
import { measuredPcrs } from './measured-pcrs.ts'
import { printJson } from './print.ts'
import { trustedDigests, type RootFlags } from './trusted-roots.ts'

interface TestFlags extends RootFlags {
  readonly policy: string
  readonly identityPolicy: readonly string[]
  readonly grants?: string
  readonly principal: string
  readonly action: string
  readonly resource?: string
  readonly account?: string
  readonly context: readonly string[]
  readonly measurements?: string
  readonly expect?: 'allow' | 'deny'
}

const NOTES = `
The policy is decided as AWS KMS does it; without --measurements the request has no document. Warnings are
about the policy and the grants, whatever the request. With --root and --aws-root it is decided as a broker does that
was started with them: if there are several, the root of the document is given by
--context cloister:RecipientAttestation:RootSha256=..., and the policy must name it.

Examples:
  cloister kms policy test --policy policy.json \\
    --principal arn:aws:iam::111122223333:user/app --measurements measurements.json --expect allow
  cloister kms policy test --policy policy.json \\
    --principal arn:aws:iam::111122223333:user/app --expect deny`

export function kmsPolicyCommand(): Command {
  const test = new Command('test')
    .description('explain what a key policy decides, and what in it defeats attestation')
    .requiredOption('--policy <file>', 'the key policy, JSON')
    .requiredOption('--principal <arn>', 'who asks: a user, a role session, or an account root')
    .option('--action <name>', 'what is asked for', 'kms:Decrypt')
    .option('--resource <arn>', "the key's ARN (default: one of the principal's account)")
    .option('--account <id>', "the key's account (default: the principal's)")
    .option('--identity-policy <file...>', "the principal's own policies, JSON", [] as string[])
    .option('--grants <file>', 'the grants on the key: what `aws kms list-grants` printed')
    .option(
      '--context <key=value...>',
      'condition keys; one given twice has two values',
      [] as string[],
    )
    .option('--measurements <file>', 'what build-enclave printed: the request brings this document')
    .option(
      '--root <file...>',
      'root certificates that the broker trusts, PEM or DER',
      [] as string[],
    )
    .option('--aws-root', "the broker trusts AWS's Nitro Enclaves root G1")
    .addOption(
      new Option('--expect <decision>', 'fail unless this is decided').choices(['allow', 'deny']),
    )
    .addHelpText('after', NOTES)
    .action(testPolicy)
  return new Command('policy')
    .description('write key policies and put them to the test')
    .addCommand(test)
    .addCommand(policyGenerateCommand())
}

function testPolicy(flags: TestFlags): void {
  const { principal, action } = flags
  if (!isPrincipalArn(principal))
    throw wrong(
      `--principal ${principal} is not an ARN of a principal, such as arn:aws:iam::111122223333:user/app`,
    )
  if (!/^[a-z0-9-]+:\w+$/i.test(action))
    throw wrong(`--action ${action} is not an action like kms:Decrypt`)
  if (/^kms:/i.test(action) && !ACTIONS.some((one) => one.toLowerCase() === action.toLowerCase()))
    throw wrong(`--action ${action}: KMS has no such action`)
  const account = flags.account ?? accountOf(principal)
  const key = readPolicy('--policy', flags.policy, 'key')
  const identity = flags.identityPolicy.map((path) =>
    readPolicy('--identity-policy', path, 'identity'),
  )
  const resource =
    flags.resource ??
    `${principal.split(':').slice(0, 2).join(':')}:kms:us-east-1:${account}:key/${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`
  const roots = trustedDigests(flags)
  const given = { ...documentContext(flags.measurements, roots), ...givenContext(flags.context) }
  const { context, ignored } = ruleOnDocument(given, { key, identity }, roots)
  const grants = readGrants(flags.grants)
  const policies = { key, identity, account, grants }
  const decision = decide({ principal, action, resource, context }, policies)
  const warnings = [
    ...findPolicyWarnings(key, roots),
    ...findGrantWarnings(key, grants),
    ...[key, ...identity].flatMap(brokerWarnings),
  ]
  printJson(decisionJson({ ...decision, ignored }, warnings))
  checkExpected(decision, flags.expect)
}

function readPolicy(flag: string, path: string, kind: PolicyKind): PolicyDocument {
  const bytes = readFileArgument(flag, path)
  return parseKeyPolicy(parseStrictJson(bytes, 'ERR_CLI_ARGUMENT', path), kind)
}

function readGrants(path: string | undefined): readonly Grant[] {
  if (path === undefined) return []
  return parseGrants(parseStrictJson(readFileArgument('--grants', path), 'ERR_CLI_ARGUMENT', path))
}

/** The condition keys of a document of the measured image, under the only root if there is one. */
function documentContext(path: string | undefined, roots: readonly string[]): RequestContext {
  if (path === undefined) return {}
  const pcrs = measuredPcrs(readFileArgument('--measurements', path), path)
  const { PCR0: image } = pcrs
  const keys = Object.entries(image === undefined ? pcrs : { ...pcrs, ImageSha384: image })
  const [root, ...others] = roots
  return {
    ...Object.fromEntries(
      keys.map(([name, value]) => [`kms:RecipientAttestation:${name}`, value] as const),
    ),
    ...(root === undefined || others.length > 0 ? {} : { [ROOT_CONDITION_KEY]: root }),
  }
}

function givenContext(pairs: readonly string[]): RequestContext {
  const values = new Map<string, string[]>()
  for (const pair of pairs) {
    const [, key = '', value = ''] = /^([^=]+)=([^]*)$/.exec(pair) ?? []
    if (key === '') throw wrong(`--context ${pair} is not KEY=VALUE`)
    values.set(key, [...(values.get(key) ?? []), value])
  }
  const entries = [...values].map(
    ([key, all]) => [key, all.length === 1 ? (all[0] ?? '') : all] as const,
  )
  return Object.fromEntries(entries)
}

function decisionJson(
  {
    allowed,
    reason,
    decidedBy,
    statements,
    ignored,
  }: Decision & { readonly ignored: string | null },
  warnings: readonly PolicyWarning[],
): object {
  return {
    Decision: allowed ? 'Allow' : 'Deny',
    Reason: reason,
    DecidedBy: decidedBy && `${decidedBy.policy}: ${decidedBy.statement}`,
    ...(ignored === null ? {} : { IgnoredDocument: ignored }),
    Statements: statements.map(statementJson),
    Warnings: warnings.map(({ code, statement, message }) => ({
      Code: code,
      Statement: statement,
      Message: message,
    })),
  }
}

function statementJson(report: StatementReport): object {
  return {
    Policy: report.policy,
    Statement: report.statement,
    Effect: report.effect,
    Applies: report.applies,
    ...(report.delegates ? { Delegates: true } : {}),
    PrincipalMatches: report.principal,
    ActionMatches: report.action,
    ResourceMatches: report.resource,
    Conditions: report.conditions.map(({ operator, key, values, actual, holds }) => ({
      Operator: operator,
      Key: key,
      Expected: values,
      Actual: actual,
      Holds: holds,
    })),
  }
}

function checkExpected({ allowed, reason }: Decision, expected: TestFlags['expect']): void {
  const actual = allowed ? 'allow' : 'deny'
  if (expected === undefined || expected === actual) return
  const message = `the policy decides ${actual} (${reason}), expected ${expected}`
  throw new CloisterError('ERR_KMS_DECISION', message, { details: { expected, actual } })
}

function wrong(message: string): CloisterError {
  return new CloisterError('ERR_CLI_ARGUMENT', message, {
    hint: 'See `cloister kms policy test --help`.',
  })
}
