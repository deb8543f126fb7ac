// The tables of the store. Each migration is done once, in order; none is ever changed afterwards.

/** Statements by migration. */
export const MIGRATIONS: readonly (readonly string[])[] = [
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
    ...['UPDATE', 'DELETE'].map(
      (verb) => `CREATE TRIGGER audit_no_${verb.toLowerCase()} BEFORE ${verb} ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END`,
    ),
  ],
]
