// cloister kms policy generate: the policy of a key that opens for one measured image. The Allow alone would
// do until somebody adds another; the Deny statements, one for each PCR, hold against every other policy.

import { Command } from 'commander'
import {
  DOCUMENT_ACTIONS,
  isPrincipalArn,
  OPENING_ACTIONS,
  ROOT_CONDITION_KEY,
} from '@cloister/attestation/policy'
import { CloisterError } from '../errors.ts'
import { readFileArgument } from './arguments.ts'
import { measuredPcrs } from './measured-pcrs.ts'
import { printJson } from './print.ts'
import { trustedDigests, type RootFlags } from './trusted-roots.ts'

interface GenerateFlags extends RootFlags {
  readonly measurements: string
  readonly admin: string
  readonly app: string
  readonly locked?: boolean
}

const NOTES = `
The administrator may encrypt, generate data keys without plaintext, describe, disable and enable, and read the
policy; without --locked also change it, and with it every condition. The app may describe the key and read the
policy. Put a locked policy with BypassPolicyLockoutSafetyCheck (\`aws kms create-key
--bypass-policy-lockout-safety-check\`): nobody can change it afterwards. The policy is one for AWS KMS too, unless
--root or --aws-root is given: AWS KMS trusts its own root alone, and has no such condition. A broker that trusts
several roots needs it.

Example:
  cloister kms policy generate --measurements hello.json --locked \\
    --admin arn:aws:iam::111122223333:user/admin --app arn:aws:iam::111122223333:user/app`

/** What opens the key, and what leads around the conditions. */
const GUARDED = [...OPENING_ACTIONS, 'kms:CreateGrant']
const ADMINISTRATION = [
  ...['kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:ListKeyPolicies', 'kms:Encrypt'],
  ...['kms:EnableKey', 'kms:DisableKey', 'kms:GenerateDataKeyWithoutPlaintext'],
  'kms:GenerateDataKeyPairWithoutPlaintext',
]

export function policyGenerateCommand(): Command {
  return new Command('generate')
    .description('print the policy of a key that opens for one measured image only')
    .requiredOption('--measurements <file>', 'what build-enclave printed')
    .requiredOption('--admin <arn>', 'who administers the key')
    .requiredOption('--app <arn>', "who asks for the image's secrets: the parent's user or role")
    .option(
      '--root <file...>',
      'only for documents under these root certificates, PEM or DER',
      [] as string[],
    )
    .option('--aws-root', "only for documents under AWS's Nitro Enclaves root G1, or --root")
    .option('--locked', 'let nobody change the policy')
    .addHelpText('after', NOTES)
    .action(generate)
}

function generate({ measurements, admin, app, locked = false, ...flags }: GenerateFlags): void {
  for (const [flag, arn] of Object.entries({ admin, app })) {
    if (!isPrincipalArn(arn))
      throw new CloisterError('ERR_CLI_ARGUMENT', `--${flag} ${arn} is not an ARN of a principal`)
  }
  const pcrs = measuredPcrs(readFileArgument('--measurements', measurements), measurements)
  const roots = trustedDigests(flags)
  const conditions: readonly (readonly [string, string | readonly string[]])[] = [
    ...Object.entries(pcrs).map(
      ([name, value]) => [`kms:RecipientAttestation:${name}`, value] as const,
    ),
    ...(roots.length === 0 ? [] : [[ROOT_CONDITION_KEY, roots] as const]),
  ]
  const actions = locked ? ADMINISTRATION : [...ADMINISTRATION, 'kms:PutKeyPolicy']
  printJson({
    Version: '2012-10-17',
    Statement: [
      statement('Administer', { AWS: admin }, actions),
      statement('ReadKey', { AWS: app }, ['kms:DescribeKey', 'kms:GetKeyPolicy']),
      {
        ...statement('Enclave', { AWS: app }, DOCUMENT_ACTIONS),
        Condition: { StringEqualsIgnoreCase: Object.fromEntries(conditions) },
      },
      ...conditions.map(([key, value]) => ({
        ...statement(`Only${key.replace(/^.*:/, '')}`, '*', GUARDED),
        Effect: 'Deny',
        Condition: { StringNotEqualsIgnoreCase: { [key]: value } },
      })),
    ],
  })
}

function statement(Sid: string, Principal: unknown, Action: readonly string[]): object {
  return { Sid, Effect: 'Allow', Principal, Action, Resource: '*' }
}
