import { describe, expect, test } from '@jest/globals';
import { problem, refusalOfFault, statusOf, transportProblem } from '../../src/http/problem.js';
import { REASONS, type ReasonCode, reject } from '../../src/reason/reason.js';

/** The table of the contract, section 4, and what it says of other reasons. */
const CONTRACT: Readonly<Record<number, readonly string[]>> = {
  400: ['request.malformed', 'evidence.malformed'],
  401: ['auth.missing', 'auth.invalid'],
  403: [
    'auth.role',
    'evidence.unbound',
    'quote.magic',
    'quote.type',
    'quote.signature',
    'quote.algorithm',
    'quote.binding',
    'quote.pcr_selection',
    'quote.pcr_values',
    'quote.pcr_digest',
    'ak.attributes',
    'ak.untrusted',
    'ak.revoked',
    'challenge.invalid',
    'challenge.expired',
    'challenge.replayed',
    'policy.hash',
    'policy.validity',
    'policy.pcr',
    'policy.claims',
    'key.disabled',
    'key.frozen',
    'deployment.frozen',
  ],
  404: ['deployment.unknown', 'key.unknown', 'route.unknown'],
  409: ['resource.exists'],
  413: ['request.too_large'],
  429: ['request.rate_limited'],
  500: ['internal'],
  503: ['store.unavailable', 'store.integrity'],
};

test.each(
  Object.entries(CONTRACT).flatMap(([status, reasons]) => reasons.map((reason) => [reason, Number(status)] as const)),
)('%s is %d, as the contract says', (reason, status) => {
  expect(statusOf(reason as ReasonCode)).toBe(status);
});

test.each(Object.keys(REASONS) as ReasonCode[])('%s has a document that names it', (reason) => {
  const { status, body, headers } = problem(reject(reason, 'why'), 'id-1');
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(600);
  expect(JSON.parse(body)).toEqual({
    type: `urn:portcullis:problem:${reason}`,
    title: REASONS[reason],
    status,
    detail: 'why',
    reason,
    request_id: 'id-1',
  });
  expect('www-authenticate' in headers).toBe(status === 401);
  expect('retry-after' in headers).toBe(status === 429 || status === 503);
});

describe('what a refusal found', () => {
  const finding = { claim: 'quote.extra_data', operator: 'equals', expected: 'aa', found: 'bb' } as const;

  test('is a member of its own where there is no decision', () => {
    const { body } = problem(reject('quote.binding', 'why', finding), 'id');
    expect(JSON.parse(body)).toMatchObject({ findings: [finding] });
  });

  test('is left to the decision where there is one', () => {
    const decision = { met: false, conditions: [] };
    const parsed = JSON.parse(problem({ ...reject('policy.pcr', 'why', finding), decision }, 'id').body) as object;
    expect(parsed).toHaveProperty('decision', decision);
    expect(parsed).not.toHaveProperty('findings');
  });
});

test.each([
  ['HPE_HEADER_OVERFLOW', 431],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_INVALID_METHOD', 400],
  ['__proto__', 400],
  [undefined, 400],
])('a connection refused for %s is %d and request.malformed', (code, status) => {
  const given = transportProblem(code, 'id');
  expect([given.status, given.reason]).toEqual([status, 'request.malformed']);
  expect(JSON.parse(given.body)).toMatchObject({ status, reason: 'request.malformed', request_id: 'id' });
});

test('what is no error of ours is internal', () => {
  for (const fault of [new Error('x'), undefined, null, 'x', { name: 'StoreUnavailableError' }]) {
    expect(refusalOfFault(fault).reason).toBe('internal');
  }
});
