// The key broker: AWS KMS's API over keys that open for verified documents.

export { verifyStoredAudit } from './audit.ts'
export { startBroker, type Broker, type BrokerOptions } from './serve.ts'
export type { AuditHead } from './store/audit-log.ts'
export type { MasterKeySource } from './store/master-key.ts'
export { parseStrictJson } from './strict-json.ts'
