// Every error code is provoked as a person would provoke it, here or there, or there is a reason.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { errorTable, type ErrorCode } from '../../src/error-table.ts'

const tests = join(import.meta.dirname, '..')

/** Provoked by tests of their own, which need more than a command line. */
const elsewhere: Partial<Record<ErrorCode, string>> = {
  ERR_NSM_CARD: 'faults/failing-starts.test.ts',
  ERR_NETWORK_CARD: 'integration/network-card.test.ts',
  ERR_NETWORK_CONTROL: 'unit/network-channel.test.ts',
  ERR_NETWORK_DECISION: 'integration/network-card.test.ts',
  ERR_NSM_QUOTE_MISMATCH: 'faults/swtpm-death.test.ts',
  ERR_IMAGE_LIMIT: 'integration/build-enclave.test.ts',
  ERR_IMAGE_EGRESS: 'unit/manifest/egress.test.ts',
  ERR_PROVENANCE_STATEMENT: 'integration/provenance.test.ts',
  ERR_PROVENANCE_KEY: 'integration/provenance.test.ts',
  ERR_PROVENANCE_SIGNATURE: 'integration/provenance.test.ts',
  ERR_IMAGE_PULL: 'integration/image-sources.test.ts',
  ERR_IMAGE_DOCKERFILE: 'integration/image-sources.test.ts',
  ERR_CHIP_TPM_GONE: 'faults/swtpm-death.test.ts',
  ERR_CHIP_TPM_TIMEOUT: 'unit/tpm-transport.test.ts',
  ERR_CHIP_TPM_PROTOCOL: 'unit/tpm-transport.test.ts',
  ERR_CHIP_TPM_RC: 'unit/tpm-transport.test.ts',
  ERR_CHIP_STATE_EXISTS: 'integration/virtual-tpm.test.ts',
  ERR_CHIP_STATE_CHANGED: 'integration/host-chip.test.ts',
  ERR_CHIP_KEY_UNSUPPORTED: 'integration/host-chip.test.ts',
  ERR_CHIP_CERTIFICATE_SIZE: 'integration/host-chip.test.ts',
  ERR_CHIP_CERTIFICATE_EXPIRED: 'integration/host-chip.test.ts',
  ERR_EIF_SIGNATURE_FORMAT: 'unit/eif/signature.test.ts',
  ERR_IMAGE_SOURCE_CHANGED: 'unit/image/directory-source.test.ts',
  ERR_IMAGE_TAR: 'unit/image/layer.test.ts',
  ERR_EIF_MANIFEST: 'unit/manifest/manifest.test.ts',
  ERR_VMM_CONTROL: 'unit/qmp.test.ts',
  ERR_VSOCK_FRAME: 'unit/vsock-frame.test.ts',
  ERR_VSOCK_FORWARD_TARGET: 'unit/forward.test.ts',
  ERR_PROXY_CONFIG: 'unit/vsock-proxy.test.ts',
  ERR_PROXY_CONNECT: 'unit/vsock-proxy.test.ts',
  ERR_PROXY_DENIED: 'conformance/vsock-proxy.test.ts',
  ERR_PROXY_RESOLVE: 'conformance/vsock-proxy.test.ts',
  ERR_METRICS_LISTEN: 'unit/metrics-server.test.ts',
  ERR_KEEPER_CGROUP: 'integration/limits.test.ts',
  ERR_KEEPER_CONFIG_DATA: 'integration/config-data.test.ts',
  ERR_KEEPER_IMAGE_CHANGED: 'integration/restart.test.ts',
  ERR_KEEPER_AGENT: 'unit/agent-channel.test.ts',
  ERR_KEEPER_USERS: 'unit/part-users.test.ts',
  ERR_KMS_BACKUP: 'unit/kms/backup.test.ts',
  ERR_KMS_CLOCK: 'faults/kms-store-faults.test.ts',
  ERR_KMS_ROLLBACK: 'integration/kms-sealed-store.test.ts',
  ERR_KMS_ROOTS: 'unit/kms/same-roots.test.ts',
  ERR_KMS_TLS: 'unit/kms/tls.test.ts',
  ERR_KMS_DECISION: 'unit/kms/command.test.ts',
  ERR_API_ACCEPT: 'integration/guest-services.test.ts',
  ERR_API_BUSY: 'integration/guest-services.test.ts',
  ERR_API_HEADER: 'integration/guest-services.test.ts',
  ERR_API_PARAMETER: 'integration/guest-services.test.ts',
  ERR_API_PATH: 'integration/guest-services.test.ts',
  ERR_EGRESS_DENIED: 'fixtures/network/proxy-tests.ts',
  ERR_EGRESS_REQUEST: 'fixtures/network/proxy-tests.ts',
  ERR_EGRESS_SERVER: 'fixtures/network/proxy-tests.ts',
  ERR_NETWORK_LISTEN: 'integration/published.test.ts',
  ERR_NETWORK_PUBLISH: 'unit/network/publication.test.ts',
  ERR_NETWORK_UNDECLARED: 'integration/published.test.ts',
  ERR_EDGE_PARAMETER: 'fixtures/attested-tls-tests.ts',
  ERR_EDGE_PROGRAM: 'fixtures/attested-tls-tests.ts',
  ERR_EDGE_REQUEST: 'fixtures/attested-tls-tests.ts',
  ERR_VSOCK_CID: 'lab/kvm.test.ts',
  ERR_PARENT_NESTED: 'integration/parent-calls.test.ts',
  ERR_PARENT_PROGRAM: 'integration/parent-calls.test.ts',
}

const notProvoked: Partial<Record<ErrorCode, string>> = {
  ERR_API_CONFIG:
    'takes an enclave of its own, without a configuration; unit tests of the crate have it',
  ERR_API_NSM: 'takes a parent whose NSM fails; the crate is tested with answers of such a one',
  ERR_KMS_CORE_DUMPS: 'is a warning of a broker that runs on; takes a host without prlimit',
  ERR_KMS_REQUEST:
    'is answered to a client, as SerializationException; property/kms-requests.test.ts',
  ERR_INTERNAL: 'a fault of Cloister that is known is fixed instead',
  ERR_HOST_MEMORY:
    'Node itself ends when memory is short; test/unit/host-fault.test.ts has the rule',
  ERR_HOST_PROCESSES: 'root has no limit, and Node needs threads; test/unit/host-fault.test.ts',
  ERR_DEMO_APP: 'the set-up builds the example before any test runs',
  ERR_EIF_CONTENT: 'takes a file that changes within the milliseconds of writing',
  ERR_KEEPER_STOP: 'takes a process that not even SIGKILL ends',
  ERR_CHIP_TPM_FAILED: 'ends an enclave that runs: it is in the record, not on a command line',
  ERR_PARENT_DESCRIPTOR: "takes a vsock socket of the host's, and no test makes one",
  ERR_PARENT_KERNEL: 'takes a kernel without seccomp user notification',
  ERR_CHIP_BUSY: 'takes another swtpm on the directory for 30 seconds',
}

/** Each row, and each call, begins with its code. */
function provoked(): readonly string[] {
  const directory = join(tests, 'faults/errors-as-seen')
  const text = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'))
  return [...text.join('').matchAll(/[[(]\s*'(ERR_[A-Z_]+)',/g)].map(([, code = '']) => code)
}

test('every code is provoked, or has a reason why it cannot be', () => {
  const accounted = [...provoked(), ...Object.keys(elsewhere), ...Object.keys(notProvoked)]
  expect(Object.keys(errorTable).filter((code) => !accounted.includes(code))).toEqual([])
  for (const [code, path] of Object.entries(elsewhere))
    expect(readFileSync(join(tests, path), 'utf8'), path).toContain(code)
})
