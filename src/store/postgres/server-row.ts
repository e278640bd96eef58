import { RolledBackError, StoreIntegrityError } from '../../release/store.js';
import type { Row, RowMac } from '../rows/row-mac.js';
import type { ServerIdentity, Session, Statement } from './session.js';

const TABLE = 'server';
const COLUMNS = ['id', 'system_identifier', 'timeline'];

const UPSERT: Statement = {
  name: 'upsert_server',
  text:
    'INSERT INTO portcullis.server (id, system_identifier, timeline, mac) VALUES (1, $1, $2, $3) ' +
    'ON CONFLICT (id) DO UPDATE SET system_identifier = excluded.system_identifier, timeline = excluded.timeline, mac = excluded.mac',
};

/**
 * Demands that the rows are on the server, and in its history, that the last change put them on: a standby that was
 * promoted, or a copy that was restored, may lack what was committed elsewhere, and answered. Throws RolledBackError, or
 * StoreIntegrityError for a row that is not the broker's.
 */
export function assertSameServer(rowMac: RowMac, row: Row | undefined, server: ServerIdentity): void {
  if (row === undefined) throw new StoreIntegrityError(`${TABLE} 1: the row was deleted`);
  rowMac.verify(TABLE, '1', COLUMNS, row);
  const same = row['system_identifier'] === server.systemIdentifier && row['timeline'] === server.timeline;
  if (same) return;
  throw new RolledBackError(
    `${TABLE} 1: the database was on server ${String(row['system_identifier'])}, timeline ${String(row['timeline'])}, and is now on ` +
      `${server.systemIdentifier}, timeline ${String(server.timeline)}: a standby was promoted, or a copy restored, and what was committed last ` +
      'may be missing; go back to the former server, or accept it: portcullis log accept-rollback --help',
  );
}

/** Notes the server of the session as the one that the rows are on. */
export async function writeServer(session: Session, rowMac: RowMac): Promise<void> {
  const { systemIdentifier, timeline } = session.server;
  const row: Row = { id: 1, system_identifier: systemIdentifier, timeline };
  await session.execute(UPSERT, [systemIdentifier, timeline, rowMac.of(TABLE, COLUMNS, row)]);
}
