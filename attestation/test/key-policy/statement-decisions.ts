// Decisions by principals, actions, resources, accounts and Deny, each with the page of AWS that it follows from.

import {
  ACCOUNT,
  APP,
  IMAGE,
  KEY,
  OPS,
  OTHER,
  PCR,
  ROLE,
  ROOT,
  SESSION,
  STRANGER,
  allow,
  decision,
  deny,
  own,
  without,
  type DecisionCase,
} from './decision-case.ts'

const isNot = (key: string) => ({ StringNotEqualsIgnoreCase: { [key]: PCR } })
const everyone = { Principal: '*' }
const FEDERATED = `arn:aws:sts::${ACCOUNT}:federated-user/visitor`
const notFor = (...AWS: readonly string[]) => without(deny({ NotPrincipal: { AWS } }), 'Principal')
const delegating = allow({ Principal: { AWS: ROOT }, Action: 'kms:*' })
const sandbox = [
  allow({ Principal: { AWS: OPS }, Action: ['kms:PutKeyPolicy', 'kms:DescribeKey'] }),
  allow({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } }),
  deny({ ...everyone, Condition: isNot(IMAGE) }),
]

/** Decisions by whole statements and policies. */
export const STATEMENT_DECISIONS: readonly DecisionCase[] = [
  // --- Allow, Deny, neither
  decision('evaluation', 'an Allow allows', true, {}),
  decision('evaluation', 'without a statement nothing is allowed', false, {
    key: [deny({ Action: 'kms:Sign' })],
  }),
  decision('evaluation', 'a Deny wins over an Allow before it', false, { key: [allow(), deny()] }),
  decision('evaluation', 'a Deny wins over an Allow after it', false, { key: [deny(), allow()] }),
  decision('evaluation', 'a Deny whose condition does not hold denies nothing', true, {
    key: [allow(), deny({ Condition: { StringEquals: { k: 'x' } } })],
  }),
  decision('evaluation', 'a Deny with a negated operator denies a request without the key', false, {
    key: [allow(), deny({ Condition: { StringNotEquals: { k: 'x' } } })],
  }),
  decision('evaluation', 'a Deny with Null true denies a request without the key', false, {
    key: [allow(), deny({ Condition: { Null: { k: 'true' } } })],
  }),
  decision('evaluation', 'one of two Allows is enough', true, {
    key: [allow({ Condition: { Bool: { k: 'true' } } }), allow()],
  }),
  decision('evaluation', 'a Deny for somebody else denies nothing', true, {
    key: [allow(), deny({ Principal: { AWS: OPS } })],
  }),
  decision('evaluation', 'a Deny of another action denies nothing', true, {
    key: [allow(), deny({ Action: 'kms:Encrypt' })],
  }),
  decision('evaluation', "a Deny in the identity's policy wins over the key's Allow", false, {
    identity: [own({ Effect: 'Deny' })],
  }),
  // --- actions
  decision('action', 'an action is compared without case', true, {
    key: [allow({ Action: 'KMS:decrypt' })],
  }),
  decision('action', '* is every action', true, { key: [allow({ Action: '*' })] }),
  decision('action', 'kms:* is every action of KMS', true, { key: [allow({ Action: 'kms:*' })] }),
  decision('action', 'a wildcard in a name', true, { key: [allow({ Action: 'kms:De*' })] }),
  decision('action', 'a wildcard that matches another name', false, {
    key: [allow({ Action: 'kms:GenerateDataKey*' })],
  }),
  decision('action', 'GenerateDataKey* covers the pair', true, {
    key: [allow({ Action: 'kms:GenerateDataKey*' })],
    request: { action: 'kms:GenerateDataKeyPair' },
  }),
  decision('action', 'kms:ReEncrypt* covers ReEncryptFrom', true, {
    key: [allow({ Action: 'kms:ReEncrypt*' })],
    request: { action: 'kms:ReEncryptFrom' },
  }),
  decision('action', 'kms:Encrypt does not cover kms:ReEncryptTo', false, {
    key: [allow({ Action: 'kms:Encrypt' })],
    request: { action: 'kms:ReEncryptTo' },
  }),
  decision('action', 'one of a list', true, {
    key: [allow({ Action: ['kms:Encrypt', 'kms:Decrypt'] })],
  }),
  decision('action', "another service's wildcard", false, { key: [allow({ Action: 's3:*' })] }),
  decision('action', '? is one character', true, { key: [allow({ Action: 'kms:Decryp?' })] }),
  decision('notAction', 'NotAction allows what it does not name', true, {
    key: [without(allow({ NotAction: 'kms:Encrypt' }), 'Action')],
  }),
  decision('notAction', 'NotAction does not allow what it names', false, {
    key: [without(allow({ NotAction: ['kms:Encrypt', 'kms:De*'] }), 'Action')],
  }),
  decision('notAction', 'a Deny with NotAction denies the rest', false, {
    key: [allow(), without(deny({ NotAction: 'kms:Encrypt' }), 'Action')],
  }),
  decision('notAction', 'a Deny with NotAction spares what it names', true, {
    key: [allow(), without(deny({ NotAction: 'kms:Decrypt' }), 'Action')],
  }),
  // --- resources
  decision('keyPolicy', '* in a key policy is the key', true, {}),
  decision('resource', "the key's ARN", true, { key: [allow({ Resource: KEY })] }),
  decision('resource', "another key's ARN", false, {
    key: [allow({ Resource: KEY.replace('1111-', '1112-') })],
  }),
  decision('resource', 'a wildcard in an ARN', true, {
    key: [allow({ Resource: `arn:aws:kms:*:${ACCOUNT}:key/*` })],
  }),
  decision('resource', "another region's keys", false, {
    key: [allow({ Resource: `arn:aws:kms:us-east-1:${ACCOUNT}:key/*` })],
  }),
  decision('resource', 'ARNs are compared with case', false, {
    key: [allow({ Resource: KEY.replace(':key/', ':KEY/') })],
  }),
  decision('resource', 'one of a list', true, {
    key: [allow({ Resource: ['arn:aws:kms:x:1:key/y', KEY] })],
  }),
  decision('notResource', 'NotResource excludes what it names', false, {
    key: [without(allow({ NotResource: KEY }), 'Resource')],
  }),
  decision('notResource', 'NotResource includes the rest', true, {
    key: [without(allow({ NotResource: 'arn:aws:kms:*:1:key/*' }), 'Resource')],
  }),
  decision('variables', 'a variable in a resource', true, {
    key: [allow({ Resource: 'arn:aws:kms:*:${aws:PrincipalAccount}:key/*' })],
    request: { context: { 'aws:PrincipalAccount': ACCOUNT } },
  }),
  decision('variables', 'a variable without a value matches no resource', false, {
    key: [allow({ Resource: 'arn:aws:kms:*:${aws:PrincipalAccount}:key/*' })],
  }),
  decision(
    'variables',
    'a Deny with a negated operator denies where a variable has no value',
    false,
    {
      key: [allow(), deny({ Condition: { StringNotEquals: { k: '${aws:PrincipalTag/owner}' } } })],
      request: { context: { k: 'app' } },
    },
  ),
  decision('variables', 'in version 2008-10-17 a variable is plain text', false, {
    version: '2008-10-17',
    key: [allow({ Condition: { StringEquals: { k: '${aws:username}' } } })],
    request: { context: { k: 'app', 'aws:username': 'app' } },
  }),
  decision('variables', 'and matches its own text', true, {
    version: '2008-10-17',
    key: [allow({ Condition: { StringEquals: { k: '${aws:username}' } } })],
    request: { context: { k: '${aws:username}' } },
  }),
  // --- principals
  decision('principal', 'another user', false, { request: { principal: OPS } }),
  decision('principal', 'one of a list', true, {
    key: [allow({ Principal: { AWS: [OPS, APP] } })],
  }),
  decision('principal', '"*" is everyone', true, { key: [allow(everyone)] }),
  decision('principal', '{"AWS": "*"} is everyone', true, {
    key: [allow({ Principal: { AWS: '*' } })],
  }),
  decision('principal', "a role covers the role's sessions", true, {
    key: [allow({ Principal: { AWS: ROLE } })],
    request: { principal: SESSION },
  }),
  decision('principal', 'a session is only itself', true, {
    key: [allow({ Principal: { AWS: SESSION } })],
    request: { principal: SESSION },
  }),
  decision('principal', 'another session of the role', false, {
    key: [allow({ Principal: { AWS: SESSION } })],
    request: { principal: SESSION.replace('i-0123', 'i-9999') },
  }),
  decision('principal', 'a role of the same name in another account', false, {
    key: [allow({ Principal: { AWS: ROLE } })],
    request: { principal: SESSION.replace(ACCOUNT, OTHER) },
  }),
  decision('principal', 'a service is not a user', false, {
    key: [allow({ Principal: { Service: 'lambda.amazonaws.com' } })],
  }),
  decision('principal', 'a Deny for an account covers its users', false, {
    key: [allow(), deny({ Principal: { AWS: ROOT } })],
  }),
  decision('principal', 'a Deny for an account number covers its users', false, {
    key: [allow(), deny({ Principal: { AWS: ACCOUNT } })],
  }),
  decision(
    'notPrincipal',
    'a Deny with NotPrincipal spares a user whose account is listed too',
    true,
    { key: [allow(), without(deny({ NotPrincipal: { AWS: [APP, ROOT] } }), 'Principal')] },
  ),
  decision('notPrincipal', 'and denies one whose account is not', false, {
    key: [allow(), without(deny({ NotPrincipal: { AWS: [APP] } }), 'Principal')],
  }),
  decision('notPrincipal', 'a session is spared with itself, its role and its account', true, {
    key: [allow({ Principal: { AWS: ROLE } }), notFor(SESSION, ROLE, ROOT)],
    request: { principal: SESSION },
  }),
  decision('notPrincipal', 'but not where the session is missing', false, {
    key: [allow({ Principal: { AWS: ROLE } }), notFor(ROLE, ROOT)],
    request: { principal: SESSION },
  }),
  decision('notPrincipal', 'or its role', false, {
    key: [allow({ Principal: { AWS: ROLE } }), notFor(SESSION, ROOT)],
    request: { principal: SESSION },
  }),
  decision('notPrincipal', 'or its account', false, {
    key: [allow({ Principal: { AWS: ROLE } }), notFor(SESSION, ROLE)],
    request: { principal: SESSION },
  }),
  decision('notPrincipal', 'and another session of the same role is denied', false, {
    key: [allow({ Principal: { AWS: ROLE } }), notFor(`${SESSION}4`, ROLE, ROOT)],
    request: { principal: SESSION },
  }),
  decision('notPrincipal', 'a federated user is spared with itself and its account', true, {
    key: [allow({ Principal: { AWS: FEDERATED } }), notFor(FEDERATED, ROOT)],
    request: { principal: FEDERATED },
  }),
  decision('notPrincipal', 'everyone is spared by *', true, {
    key: [allow(), notFor('*')],
  }),
  decision('notPrincipal', 'and everyone else', false, {
    key: [allow(everyone), without(deny({ NotPrincipal: { AWS: [APP, ROOT] } }), 'Principal')],
    request: { principal: OPS },
  }),
  decision('notPrincipal', 'an Allow with NotPrincipal does not allow whom it names', false, {
    key: [without(allow({ NotPrincipal: { AWS: APP } }), 'Principal')],
  }),
  // --- the key's policy and the identity's
  decision('keyDefault', "a user's own policy alone does not open a key", false, {
    key: [allow({ Principal: { AWS: OPS } })],
    identity: [own()],
  }),
  decision('keyDefault', "the account's statement alone does not allow its users", false, {
    key: [delegating],
  }),
  decision('keyDefault', "the account's statement lets the user's policy decide", true, {
    key: [delegating],
    identity: [own()],
  }),
  decision('keyDefault', "the user's policy must allow this action", false, {
    key: [delegating],
    identity: [own({ Action: 'kms:Encrypt' })],
  }),
  decision('keyDefault', "the user's policy must allow this key", false, {
    key: [delegating],
    identity: [own({ Resource: 'arn:aws:kms:*:*:key/other' })],
  }),
  decision('keyDefault', "a condition in the user's policy counts", false, {
    key: [delegating],
    identity: [own({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } })],
  }),
  decision('keyDefault', "the account's statement allows its root user", true, {
    key: [delegating],
    request: { principal: ROOT },
  }),
  decision('keyPolicy', 'not even the root user is allowed without the key policy', false, {
    request: { principal: ROOT },
  }),
  decision('keyDefault', 'an account number delegates as its ARN does', true, {
    key: [allow({ Principal: { AWS: ACCOUNT } })],
    identity: [own()],
  }),
  decision('crossAccount', 'a user of another account needs both policies', true, {
    key: [allow({ Principal: { AWS: STRANGER } })],
    identity: [own()],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', "the key's policy alone is not enough", false, {
    key: [allow({ Principal: { AWS: STRANGER } })],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', "the identity's alone neither", false, {
    identity: [own()],
    request: { principal: STRANGER },
  }),
  decision('crossAccount', 'everyone includes another account, with its own policy', true, {
    key: [allow(everyone)],
    identity: [own()],
    request: { principal: STRANGER },
  }),
  // --- actions without a key
  decision('attestation', "GenerateRandom is decided by the identity's policy", true, {
    key: null,
    identity: [own({ Action: 'kms:GenerateRandom' })],
    request: { action: 'kms:GenerateRandom', resource: '*' },
  }),
  decision('attestation', 'and its condition on the document', false, {
    key: null,
    identity: [
      own({
        Action: 'kms:GenerateRandom',
        Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } },
      }),
    ],
    request: { action: 'kms:GenerateRandom', resource: '*' },
  }),
  decision('evaluation', 'without any policy there is no CreateKey', false, {
    key: null,
    request: { action: 'kms:CreateKey', resource: '*' },
  }),
  decision('root', 'the root user may CreateKey', true, {
    key: null,
    request: { principal: ROOT, action: 'kms:CreateKey', resource: '*' },
  }),
  decision('evaluation', "another account's user does not list this account's keys", false, {
    key: null,
    identity: [own({ Action: 'kms:*' })],
    request: { principal: STRANGER, action: 'kms:ListKeys', resource: '*' },
  }),
  decision('evaluation', "nor does a session of another account's role", false, {
    key: null,
    identity: [own({ Action: 'kms:*' })],
    request: {
      ...{ principal: `arn:aws:sts::${OTHER}:assumed-role/enclave/i-0123` },
      ...{ action: 'kms:CreateKey', resource: '*' },
    },
  }),
  decision('root', "another account's root user may not", false, {
    key: null,
    request: { principal: `arn:aws:iam::${OTHER}:root`, action: 'kms:CreateKey', resource: '*' },
  }),
  // --- a key for one enclave, as AWS's Nitro samples lay it out
  decision('attestation', 'the measured image decrypts', true, {
    key: sandbox,
    request: { context: { [IMAGE]: PCR } },
  }),
  decision('attestation', 'another image does not', false, {
    key: sandbox,
    request: { context: { [IMAGE]: 'c'.repeat(96) } },
  }),
  decision('attestation', 'a debug enclave does not', false, {
    key: sandbox,
    request: { context: { [IMAGE]: '0'.repeat(96) } },
  }),
  decision('attestation', 'the parent without a document does not', false, { key: sandbox }),
  decision('attestation', 'the administrator does not, document or not', false, {
    key: sandbox,
    request: { principal: OPS, context: { [IMAGE]: PCR } },
  }),
  decision('attestation', "the Deny holds against the identity's own policy", false, {
    key: [...sandbox, delegating],
    identity: [own({ Action: '*' })],
  }),
  decision('attestation', 'a second Allow without a condition defeats an Allow with one', true, {
    key: [allow({ Condition: { StringEqualsIgnoreCase: { [IMAGE]: PCR } } }), allow()],
  }),
  decision('attestation', 'but not the Deny', false, { key: [...sandbox, allow()] }),
]
