/** That the figures are of the real thing: nothing here is timed. */
import { toHex } from '../src/bytes/hex.js';
import { fromBase64url } from '../src/bytes/base64url.js';
import { sha256 } from '../src/crypto/digest.js';
import { parseTreeHead } from '../src/translog/checkpoint.js';
import { parseNote, parseVerifierKey } from '../src/translog/note.js';
import { verifyReceipt } from '../src/translog/receipt.js';
import { decodeBundle, TILE_WIDTH, tilePath } from '../src/translog/tile.js';
import type { BrokerProcess } from './broker.js';
import { HttpConnection } from './http-connection.js';
import type { Ledger } from './ledger.js';
import { type LoadTarget, type PreparedRequest, prepareRequests, unexpected } from './load.js';

/**
 * Right after a load, while its nonces are fresh: every request of a sample of those that were answered is refused when it is
 * sent again, a fresh request with one changed bit in its signature is refused for that, and the last answer's receipt
 * verifies under the log's key. Throws where any of it is not so.
 */
export async function proveChecked(broker: BrokerProcess, target: LoadTarget, ledger: Ledger): Promise<void> {
  const connection = await HttpConnection.open(broker.url);
  try {
    for (const { body } of ledger.sample) await expectRefusal(connection, body, 'challenge.replayed');
    const fresh = await prepareRequests(target, [connection], 2, ledger);
    for (const request of fresh) await expectRefusal(connection, forged(request), 'quote.signature');
  } finally {
    connection.close();
  }
  proveReceipt(broker, ledger);
}

async function expectRefusal(connection: HttpConnection, body: string, reason: string): Promise<void> {
  const answer = await connection.post('/v1/releases', body);
  if (answer.status !== 403 || !answer.body.includes(`"reason":"${reason}"`)) {
    throw unexpected(`a request that ${reason} should refuse`, answer);
  }
}

function forged({ body }: PreparedRequest): string {
  const request = JSON.parse(body) as { evidence: { tpm: { signature: string } } };
  const signature = Buffer.from(request.evidence.tpm.signature, 'base64url');
  signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
  request.evidence.tpm.signature = signature.toString('base64url');
  return JSON.stringify(request);
}

function proveReceipt(broker: BrokerProcess, ledger: Ledger): void {
  const answer = JSON.parse(ledger.lastAnswer?.toString() ?? '{}') as { jwe?: string; receipt?: unknown };
  const trust = { logKey: parseVerifierKey(broker.logKey), jwe: answer.jwe ?? '' };
  const verified = verifyReceipt(answer.receipt, trust);
  if (!verified.ok) throw new Error(`a receipt does not verify: ${verified.detail}`);
}

/**
 * Reads the log from entry `from` on and holds it against the ledger: for each answer exactly one release entry, with the
 * hash of the nonce that it was asked with; no nonce in two entries; no release entry without an answer, but for those
 * that may have been recorded before an overloaded broker refused. Returns how many release entries there are.
 */
export async function proveLogged(broker: BrokerProcess, from: number, ledger: Ledger): Promise<number> {
  const connection = await HttpConnection.open(broker.url);
  const missing = new Map(ledger.nonces);
  const spent = new Set<string>();
  let releases = 0;
  try {
    for await (const text of entriesFrom(connection, from)) {
      const entry = JSON.parse(text) as { type: string; release_id: string; nonce_sha256: string };
      if (entry.type !== 'release') continue;
      releases++;
      if (spent.has(entry.nonce_sha256)) throw new Error(`a nonce was spent twice, by ${entry.release_id} as well`);
      spent.add(entry.nonce_sha256);
      const nonce = missing.get(entry.release_id);
      if (nonce === undefined) continue;
      missing.delete(entry.release_id);
      if (toHex(sha256(fromBase64url(nonce, 'nonce'))) !== entry.nonce_sha256) {
        throw new Error(`the log has another nonce for ${entry.release_id}`);
      }
    }
  } finally {
    connection.close();
  }
  if (missing.size > 0) throw new Error(`${String(missing.size)} answers are not in the log`);
  const unanswered = releases - ledger.nonces.size;
  if (unanswered > ledger.overloads) throw new Error(`${String(unanswered)} releases in the log were never answered`);
  return releases;
}

/** How many entries the log has. */
export async function logSize(url: string): Promise<number> {
  const connection = await HttpConnection.open(url);
  const size = await sizeOf(connection);
  connection.close();
  return size;
}

async function sizeOf(connection: HttpConnection): Promise<number> {
  const answer = await connection.get('/log/checkpoint');
  if (answer.status !== 200) throw unexpected('the checkpoint', answer);
  return parseTreeHead(parseNote(answer.body.toString()).text).size;
}

async function* entriesFrom(connection: HttpConnection, from: number): AsyncGenerator<string> {
  const size = await sizeOf(connection);
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < size; index++) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const answer = await connection.get(`/log/${tilePath({ level: 'entries', index, width })}`);
    if (answer.status !== 200) throw unexpected('an entry bundle', answer);
    const entries = decodeBundle(answer.body, width);
    for (const [at, entry] of entries.entries()) if (index * TILE_WIDTH + at >= from) yield entry.toString();
  }
}
