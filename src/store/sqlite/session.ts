import type Database from 'better-sqlite3';
import type { Connection } from './connection.js';
import { verifySchema } from './migrations.js';
import { prepareTables, type Tables } from './tables.js';

/** The connection that writes, with its statements, and the schema that they were prepared for. */
export class Session {
  readonly connection: Connection;
  readonly tables: Tables;
  readonly savepoint: Database.Statement;
  readonly release: Database.Statement;
  readonly rollbackTo: Database.Statement;
  readonly #schemaVersion;
  readonly #dataVersion;
  #verified: unknown;

  constructor(connection: Connection) {
    this.connection = connection;
    const { db } = connection;
    this.tables = prepareTables(db);
    this.savepoint = db.prepare('SAVEPOINT request');
    this.release = db.prepare('RELEASE request');
    this.rollbackTo = db.prepare('ROLLBACK TO request');
    this.#schemaVersion = db.prepare('PRAGMA schema_version').pluck();
    this.#dataVersion = db.prepare('PRAGMA data_version').pluck();
  }

  /** Another value whenever another connection, of this process or of any, has committed something; comparable on this connection alone. */
  dataVersion(): unknown {
    return this.#dataVersion.get();
  }

  /** Looks at the schema again whenever it has changed. */
  assertSchema(): void {
    const version = this.#schemaVersion.get();
    if (version === this.#verified) return;
    verifySchema(this.connection.db);
    this.#verified = version;
  }
}
