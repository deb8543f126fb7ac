// The key broker: AWS KMS's API over keys that open for verified documents.

export { brokerWarnings } from './policy-warnings.ts'
export { verifyStoredAudit } from './audit.ts'
export { backUp, restore, type BackupReport } from './backup.ts'
export { preventCoreDumps } from './core-dumps.ts'
export { startBroker, type Broker, type BrokerOptions } from './serve.ts'
export type { AuditHead } from './store/audit-log.ts'
export { isPostgres, type FileOrToken, type MasterKeySource } from './open-store.ts'
export { isRegion } from './partition.ts'
export { ACTIONS } from './operations/actions.ts'
export { rootDigest } from './recipient/root-digest.ts'
export { parseStrictJson } from './strict-json.ts'
