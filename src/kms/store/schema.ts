// The tables of the store, for SQLite and PostgreSQL. Each migration is done once, in order; none is ever changed
// afterwards. A statement is written for SQLite, and translated: PostgreSQL's names of the types differ.

export type Dialect = 'sqlite' | 'postgres'

/** A statement for both, or for those that it names. */
type Statement = string | Partial<Readonly<Record<Dialect, string>>>

/** The statements of each migration. */
export function migrationsFor(dialect: Dialect): readonly (readonly string[])[] {
  return MIGRATIONS.map((statements) => statements.flatMap((one) => statementFor(one, dialect)))
}

function statementFor(statement: Statement, dialect: Dialect): readonly string[] {
  if (typeof statement !== 'string') return [statement[dialect] ?? []].flat()
  return [dialect === 'sqlite' ? statement : toPostgres(statement)]
}

/** Text is compared byte by byte, as SQLite does. */
function toPostgres(statement: string): string {
  return statement
    .replace(/\)\s+STRICT(, WITHOUT ROWID)?$/, ')')
    .replace(/\bINTEGER\b/g, 'BIGINT')
    .replace(/\bBLOB\b/g, 'BYTEA')
    .replace(/\bTEXT\b/g, 'TEXT COLLATE "C"')
}

const MIGRATIONS: readonly (readonly Statement[])[] = [
  [
    'CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID',
    `CREATE TABLE keys (
      id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, description TEXT NOT NULL,
      enabled INTEGER NOT NULL, policy TEXT NOT NULL, material BLOB NOT NULL, mac BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE aliases (
      name TEXT PRIMARY KEY, key_id TEXT NOT NULL REFERENCES keys (id),
      created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`,
    'CREATE INDEX aliases_by_key ON aliases (key_id, name)',
    'CREATE TABLE audit (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash BLOB NOT NULL) STRICT',
    ...['UPDATE', 'DELETE'].map((verb) => ({
      sqlite: `CREATE TRIGGER audit_no_${verb.toLowerCase()} BEFORE ${verb} ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
    })),
    {
      postgres: `CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$`,
    },
    {
      postgres: `CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()`,
    },
  ],
  [
    // The rows of version 1 are moved by store/upgrade.ts, which has the master key; aliases go on referring
    // to the table of today's name.
    { sqlite: 'PRAGMA legacy_alter_table = ON' },
    { postgres: 'ALTER TABLE aliases DROP CONSTRAINT aliases_key_id_fkey' },
    'ALTER TABLE keys RENAME TO keys_1',
    { sqlite: 'PRAGMA legacy_alter_table = OFF' },
    `CREATE TABLE keys (
      id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, description TEXT NOT NULL,
      enabled INTEGER NOT NULL, policy TEXT NOT NULL, spec TEXT NOT NULL, usage TEXT NOT NULL,
      origin TEXT NOT NULL, public_key BLOB, material INTEGER NOT NULL,
      pending_import INTEGER NOT NULL, deletion_ms INTEGER, rotation_days INTEGER, next_rotation_ms INTEGER, mac BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`,
    { postgres: 'ALTER TABLE aliases ADD FOREIGN KEY (key_id) REFERENCES keys (id)' },
    'CREATE INDEX keys_by_deletion ON keys (deletion_ms) WHERE deletion_ms IS NOT NULL',
    'CREATE INDEX keys_by_rotation ON keys (next_rotation_ms) WHERE next_rotation_ms IS NOT NULL',
    `CREATE TABLE materials (
      key_id TEXT NOT NULL REFERENCES keys (id), number INTEGER NOT NULL, id TEXT NOT NULL,
      created_ms INTEGER NOT NULL, cause TEXT NOT NULL, description TEXT NOT NULL,
      valid_to_ms INTEGER, wrapped BLOB, mac BLOB NOT NULL, PRIMARY KEY (key_id, number)
    ) STRICT, WITHOUT ROWID`,
    'CREATE INDEX materials_by_end ON materials (valid_to_ms) WHERE valid_to_ms IS NOT NULL',
  ],
  [
    `CREATE TABLE grants (
      id TEXT PRIMARY KEY, key_id TEXT NOT NULL REFERENCES keys (id), name TEXT NOT NULL,
      grantee TEXT NOT NULL, retiring TEXT NOT NULL, operations TEXT NOT NULL,
      constraints TEXT NOT NULL, created_ms INTEGER NOT NULL, mac BLOB NOT NULL
    ) STRICT, WITHOUT ROWID`,
    'CREATE INDEX grants_by_key ON grants (key_id, id)',
    'CREATE INDEX grants_by_retiring ON grants (retiring, id)',
  ],
  [
    `CREATE TABLE used_nonces (nonce BLOB PRIMARY KEY, valid_to_ms INTEGER NOT NULL)
      STRICT, WITHOUT ROWID`,
    'CREATE INDEX used_nonces_by_end ON used_nonces (valid_to_ms)',
  ],
  ["ALTER TABLE keys ADD COLUMN tags TEXT NOT NULL DEFAULT ''"],
]
