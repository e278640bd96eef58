import { connect } from 'node:tls';
import type { BrokerView } from '../../release/views.js';
import type { CliContext } from '../context.js';
import { UnreachableError } from '../outcome.js';
import { VERSION } from '../version.js';
import { fail, ok, warn, type Finding } from './finding.js';

const DAY_MS = 86_400_000;
const SOON_DAYS = 30;
const TLS_TIMEOUT_MS = 5_000;
/** Brokers refuse nonces from more than 5 s in the future; nonces live for 120 s. */
const SKEW_WARN_MS = 5_000;
const SKEW_FAIL_MS = 120_000;

/** The broker at --url: reachable, ready, on time, its certificate, and the token where one is given. */
export async function brokerFindings(context: CliContext): Promise<readonly Finding[]> {
  const { url } = await context.address();
  const certificate = url.protocol === 'https:' ? [await certificateFinding(url, context.parts.now())] : [];
  const client = await context.broker();
  try {
    const before = context.parts.now();
    const ready = await client.raw('GET', '/readyz');
    const date = ready.headers['date'];
    return [
      ready.status === 200
        ? ok('broker', `${url.origin} is ready`)
        : fail(
            'broker',
            `${url.origin} answers, and is not ready (status ${String(ready.status)})`,
            'look into its log: it says why',
          ),
      ...(typeof date === 'string' ? [clockFinding(Date.parse(date), before)] : []),
      ...certificate,
      ...(client.hasToken ? [await tokenFinding(context)] : []),
    ];
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    return [fail('broker', error.message, 'leave the broker out with --offline'), ...certificate];
  }
}

/** `Date` has whole seconds. */
export function clockFinding(theirsMs: number, oursMs: number): Finding {
  const skewMs = Math.abs(theirsMs - oursMs);
  if (!(skewMs > SKEW_WARN_MS)) return ok('clock', 'agrees with that of the broker');
  const said = `this clock and that of the broker differ by ${String(Math.round(skewMs / 1000))} s`;
  const advice = 'correct the one that is wrong: timedatectl set-ntp true';
  return skewMs > SKEW_FAIL_MS ? fail('clock', said, advice) : warn('clock', said, advice);
}

async function tokenFinding(context: CliContext): Promise<Finding> {
  const reply = await context.call<BrokerView>('GET', '/v1/broker');
  if (!reply.ok) return fail('token', `${reply.reason}: ${reply.detail}`, 'use a token that is active');
  const { profile, version } = reply.value;
  const said = `accepted; broker ${version}, ${profile} profile`;
  return version === VERSION
    ? ok('token', said)
    : warn('token', `${said}, and this command is ${VERSION}`, 'use the same version on both sides');
}

async function certificateFinding(url: URL, nowMs: number): Promise<Finding> {
  const expires = await certificateExpiry(url);
  if (expires === undefined)
    return warn('TLS certificate', 'cannot be looked at', 'check that the broker listens with TLS');
  const days = Math.floor((expires - nowMs) / DAY_MS);
  const until = new Date(expires).toISOString();
  if (days < 0) return fail('TLS certificate', `expired at ${until}`, 'renew it and restart the broker');
  if (days < SOON_DAYS)
    return warn('TLS certificate', `expires at ${until}, in ${String(days)} days`, 'renew it and restart the broker');
  return ok('TLS certificate', `valid until ${until}`);
}

/** When the certificate of the host ends, ms; looked at, not trusted: nothing is sent. */
function certificateExpiry(url: URL): Promise<number | undefined> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: url.port === '' ? 443 : Number(url.port),
      rejectUnauthorized: false,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    });
    const done = (value: number | undefined): void => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(TLS_TIMEOUT_MS, () => done(undefined));
    socket.once('error', () => done(undefined));
    socket.once('secureConnect', () => {
      const expires = Date.parse(socket.getPeerCertificate().valid_to);
      done(Number.isNaN(expires) ? undefined : expires);
    });
  });
}
