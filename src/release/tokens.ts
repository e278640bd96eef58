import { toBase64url } from '../bytes/base64url.js';
import { equalBytes } from '../bytes/equal.js';
import { fromHex, toHex } from '../bytes/hex.js';
import { macOfFields } from '../crypto/derive.js';
import { parseDateTime } from '../policy/date-time.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { CreateToken, PageRequest, Principal } from './broker.js';
import type { BrokerContext } from './context.js';
import { listOf, pageOf } from './paging.js';
import { presentToken } from './present.js';
import type { TokenRecord } from './records.js';
import { rfc3339 } from './time.js';
import type { ListView, TokenView } from './views.js';

/** `pc_<16 hex digits: id>_<43 characters of base64url: 32 random bytes>`. */
const TOKEN = /^pc_([0-9a-f]{16})_[0-9A-Za-z_-]{43}$/;

/** Who presents this token. auth.invalid for one that is unknown, expired or revoked: which of them is not told. */
export async function authenticate(context: BrokerContext, token: string): Promise<Result<Principal>> {
  const invalid = reject('auth.invalid', 'the token is unknown, expired or revoked');
  const id = TOKEN.exec(token)?.[1];
  if (id === undefined) return invalid;
  const record = await context.store.read((view) => view.tokens.get(id));
  const hash = tokenHash(context.tokenKey, token);
  if (record === undefined || !equalBytes(fromHex(record.hash, 'token.hash'), hash)) return invalid;
  if (presentToken(record, context.clock()).state !== 'active') return invalid;
  return accept({ tokenId: record.id, name: record.name, role: record.role });
}

/** A new token and its record. The token itself is stored nowhere. */
export function mintToken(
  context: Pick<BrokerContext, 'random' | 'tokenKey' | 'clock'>,
  request: { readonly name: string; readonly role: TokenRecord['role']; readonly expiresAtMs?: number },
): { readonly token: string; readonly record: TokenRecord } {
  const id = toHex(context.random(8));
  const token = `pc_${id}_${toBase64url(context.random(32))}`;
  const hash = toHex(tokenHash(context.tokenKey, token));
  return { token, record: { id, ...request, hash, createdAtMs: context.clock() } };
}

export async function createToken(
  context: BrokerContext,
  by: Principal,
  request: CreateToken,
): Promise<Result<TokenView & { readonly token: string }>> {
  const expires = request.expires_at === undefined ? undefined : parseDateTime(request.expires_at);
  if (request.expires_at !== undefined && (expires === undefined || expires <= context.clock())) {
    return reject(
      'request.malformed',
      'expires_at: must be an RFC 3339 time in the future, such as 2027-01-31T00:00:00Z',
    );
  }
  const { token, record } = mintToken(context, {
    name: request.name,
    role: request.role,
    ...(expires === undefined ? {} : { expiresAtMs: expires }),
  });
  await context.store.change(async (change) => {
    await change.append('token.created', {
      actor: by.tokenId,
      token: record.id,
      role: record.role,
      expires_at: expires === undefined ? undefined : rfc3339(expires),
    });
    await change.tokens.put(record);
  });
  return accept({ ...presentToken(record, context.clock()), token });
}

export async function listTokens(context: BrokerContext, request: PageRequest): Promise<Result<ListView<TokenView>>> {
  const page = pageOf(request);
  if (!page.ok) return page;
  const records = await context.store.read((view) => view.tokens.list(page.value));
  const nowMs = context.clock();
  return accept(
    await listOf(
      records,
      page.value.shown,
      (token) => token.id,
      (token) => presentToken(token, nowMs),
    ),
  );
}

/** Works on the very next request. resource.unknown for an id that no token has. */
export async function revokeToken(context: BrokerContext, by: Principal, id: string): Promise<Result<TokenView>> {
  return context.store.change(async (change) => {
    const record = await change.tokens.get(id);
    if (record === undefined)
      return reject('resource.unknown', 'there is no token of this id; see: portcullis token list');
    const revoked = { ...record, revokedAtMs: record.revokedAtMs ?? context.clock() };
    await change.append('token.revoked', { actor: by.tokenId, token: id });
    await change.tokens.put(revoked);
    return accept(presentToken(revoked, context.clock()));
  });
}

function tokenHash(tokenKey: Buffer, token: string): Buffer {
  return macOfFields(tokenKey, ['portcullis/token/v1', token]);
}
