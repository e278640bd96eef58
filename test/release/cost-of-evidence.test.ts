/** Certificates, devices and tokens are dear to verify, and anybody can send some: who is owed that work. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ReleaseRequest } from '../../src/release/broker.js';
import { token } from '../evidence/authority/tokens.js';
import { ADMIN, bootedMachine, valueOf } from '../helpers/test-broker.js';
import {
  base64url,
  byReport,
  graphics,
  HardwareWorld,
  KNOWN,
  type Machine,
  MEASUREMENT,
  processor,
  reasonOf,
  type Sending,
} from './hardware-world.js';

const TTL_MS = 120_000;
/** What has been asked for since the test began. */
const asked = { hardwareTrust: 0, rims: 0, authorities: 0 };
const NOTHING = { ...asked };
let aheadMs = 0;
let world: HardwareWorld;
let machine: Machine;

beforeAll(async () => {
  world = await HardwareWorld.start(
    (context) => {
      const { authorities, hardwareTrust, clock } = context;
      const counted = new Proxy(authorities, {
        get: (of, name) => {
          asked.authorities++;
          return Reflect.get(of, name) as unknown;
        },
      });
      return {
        authorities: counted,
        hardwareTrust: (deployment, atMs) => {
          asked.hardwareTrust++;
          const trust = hardwareTrust(deployment, atMs);
          const { rims, ...others } = trust.collateral;
          const collateral = {
            ...others,
            get rims() {
              asked.rims++;
              return rims;
            },
          };
          return { ...trust, collateral };
        },
        clock: () => clock() + aheadMs,
      };
    },
    { challengeTtlMs: TTL_MS },
  );
  machine = await bootedMachine();
  await world.prepare({ attesters: byReport({ measurement: MEASUREMENT }) });
});

afterAll(() => world.close());

beforeEach(() => {
  aheadMs = 0;
  Object.assign(asked, NOTHING);
});

/** All kinds of evidence, made for this very request. */
const everything: Sending = async (base, pcrs) => {
  const { extraData, gpus } = graphics(base);
  const seconds = Math.floor(Date.now() / 1000);
  const tokens = [token({ iat: seconds, nbf: seconds, exp: seconds + 60, eat_nonce: base64url(base) })];
  return {
    ...{ tpm: await machine.evidence(extraData, pcrs), ...processor(KNOWN).plain(base, machine) },
    ...{ gpus, tokens },
  };
};

describe('evidence that answers a nonce of ours', () => {
  test('is verified in whole, each kind of it', async () => {
    expect(await world.outcome(everything)).toBe('released');
    expect(asked.hardwareTrust).toBeGreaterThan(0);
    expect(asked.rims).toBeGreaterThan(0);
    expect(asked.authorities).toBeGreaterThan(0);
  });
});

describe('nothing of any evidence is verified', () => {
  async function refused(request: ReleaseRequest): Promise<string> {
    const reason = reasonOf(await world.broker.release(request));
    expect(asked).toEqual(NOTHING);
    return reason;
  }

  test('for a nonce that somebody has made up', async () => {
    expect(await refused(await world.request(everything, () => base64url(randomBytes(32))))).toBe('challenge.invalid');
    expect(await refused(await world.request(everything, () => ''))).toBe('challenge.invalid');
  });

  test('for a nonce of another key', async () => {
    valueOf(await world.broker.createKey(ADMIN, { name: 'other', deployments: ['d'], type: 'oct' }));
    const other = valueOf(await world.broker.issueChallenge({ deployment: 'd', key: 'other' })).nonce;
    expect(await refused(await world.request(everything, () => other))).toBe('challenge.invalid');
  });

  test.each([
    ['is too old', TTL_MS],
    ['is from the future', -TTL_MS],
  ])('for a nonce that %s', async (_what, ms) => {
    const request = await world.request(everything);
    aheadMs = ms;
    expect(await refused(request)).toBe('challenge.expired');
  });
});

describe('neither devices nor tokens are looked at', () => {
  async function told(change: (sent: Awaited<ReturnType<Sending>>, base: Buffer) => object): Promise<string> {
    const reason = await world.outcome(async (base, pcrs) => ({ ...change(await everything(base, pcrs), base) }));
    expect(asked).toMatchObject({ rims: 0, authorities: 0 });
    expect(asked.hardwareTrust).toBeGreaterThan(0);
    return reason;
  }

  test('beside a quote with another AK than the report names', async () => {
    const other = await bootedMachine();
    const replaced = await told(({ tpm, ...sent }) => ({
      ...sent,
      tpm: { ...tpm, ak: base64url(other.ak.tpm2bPublic) },
    }));
    expect(replaced).toBe('evidence.unbound');
  });

  test('beside a quote that was changed after it had been signed', async () => {
    const flipped = await told(({ tpm, ...sent }) => {
      const quoted = Buffer.from(tpm?.quoted ?? '', 'base64url');
      quoted.writeUInt8(quoted.readUInt8(quoted.length - 1) ^ 1, quoted.length - 1);
      return { ...sent, tpm: { ...tpm, quoted: base64url(quoted) } };
    });
    expect(flipped).toBe('quote.signature');
  });

  test('beside a quote for another request', async () => {
    const tpm = await machine.evidence(Buffer.alloc(32), { sha256: [4, 7, 8] });
    expect(await told((sent) => ({ ...sent, tpm }))).toBe('quote.binding');
  });

  test('beside a report that is refused', async () => {
    const debugged = processor({ ...KNOWN, policy: 0x3001fn | (1n << 19n) });
    expect(await told((sent, base) => ({ ...sent, ...debugged.plain(base, machine) }))).toBe('snp.debug');
  });

  test('beside the report of a machine that nobody knows', async () => {
    const stranger = processor({ measurement: Buffer.alloc(48, 1) });
    expect(await told((sent, base) => ({ ...sent, ...stranger.plain(base, machine) }))).toBe('ak.untrusted');
  });
});
