import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Broker, Principal } from '../../release/broker.js';
import type { Role } from '../../release/records.js';
import { accept, reject, type Result } from '../../reason/reason.js';

/** RFC 6750 section 2.1: one scheme, one space, one b64token. Tokens of ours are far shorter than the bound. */
const BEARER = /^Bearer ([0-9A-Za-z._~+/-]{1,256}={0,2})$/i;

const RANK: Readonly<Record<Role, number>> = { auditor: 0, operator: 1, admin: 2 };

/**
 * Who calls, by the bearer token, and that the role suffices: auth.missing, auth.invalid, auth.role. Client certificates
 * never count here, whatever else is missing.
 */
export async function authenticate(broker: Broker, request: IncomingMessage, needed: Role): Promise<Result<Principal>> {
  const given = request.headersDistinct['authorization'] ?? [];
  if (given.length === 0) return reject('auth.missing', 'send an admin token: Authorization: Bearer <token>');
  const token = given.length === 1 ? BEARER.exec(given[0] ?? '')?.[1] : undefined;
  if (token === undefined) return reject('auth.invalid', 'the authorization header is not one bearer token');
  const principal = await broker.authenticate(token);
  if (!principal.ok) return principal;
  if (RANK[principal.value.role] < RANK[needed]) {
    return reject('auth.role', `needs the role ${needed}; the token has the role ${principal.value.role}`);
  }
  return principal;
}

/**
 * That the connection shows a certificate under `challenge.client_ca`, itself or, where it resumes a session, when that was
 * made: auth.missing without one, auth.invalid for one that does not verify.
 */
export function checkClientCertificate(request: IncomingMessage): Result<undefined> {
  const socket = request.socket as Partial<TLSSocket>;
  // First: Node calls every resumed TLS 1.3 session authorized, those without a certificate too.
  if (socket.getPeerX509Certificate?.() === undefined) {
    return reject('auth.missing', 'this route needs a client certificate (mutual TLS)');
  }
  return socket.authorized === true
    ? accept(undefined)
    : reject('auth.invalid', 'the client certificate does not verify under the authority configured for challenges');
}
