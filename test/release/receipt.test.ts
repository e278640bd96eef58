import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { refusalOfFault } from '../../src/http/problem.js';
import type { BrokerContext } from '../../src/release/context.js';
import { UnwitnessedError } from '../../src/release/receipt.js';
import { release } from '../../src/release/release.js';
import type { ReleaseView } from '../../src/release/views.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { type ReceiptDemands, verifyReceipt, type VerifiedReceipt } from '../../src/translog/receipt.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { bootedMachine, type PreparedRequest, TestBroker, valueOf } from '../helpers/test-broker.js';
import { TestNoteKey } from '../helpers/test-log.js';

const ASKED = { deployment: 'llm', key: 'weights' };

/** A broker with a machine that may draw a key. */
async function provisioned(logNames: 'plain' | 'salted'): Promise<{ broker: TestBroker; machine: SimulatorAttester }> {
  const broker = await TestBroker.start({ logNames });
  const machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  await broker.key('weights', 'llm');
  return { broker, machine };
}

/** Verifies the receipt of an answer against everything that the request said. */
function verified(
  { context }: TestBroker,
  { request, recipient }: PreparedRequest,
  answer: ReleaseView,
  more: Partial<ReceiptDemands> = {},
): VerifiedReceipt {
  const { release_id: releaseId, key, jwe, receipt } = answer;
  const expected = {
    ...ASKED,
    releaseId,
    broker: context.broker,
    version: key.version,
    recipient: recipient.thumbprint,
    nonce: Buffer.from(request.nonce, 'base64url'),
  };
  return valueOf(verifyReceipt(receipt, { logKey: parseVerifierKey(context.logKey), jwe, expected, ...more }));
}

describe.each(['plain', 'salted'] as const)('with %s names', (logNames) => {
  let broker: TestBroker;
  let machine: SimulatorAttester;
  beforeAll(async () => {
    ({ broker, machine } = await provisioned(logNames));
  });
  afterAll(() => broker.close());

  test('every release carries a receipt for exactly what was asked and handed out', async () => {
    const prepared = await broker.request(machine, ASKED);
    const answer = valueOf(await broker.broker.release(prepared.request));
    const { entry, index, head } = verified(broker, prepared, answer);
    expect(entry).toMatchObject({ type: 'release', profile: 'development', boot: 'pinned' });
    expect(index).toBe(head.size - 1);
    expect(Object.keys(answer.receipt.salts ?? {}).sort()).toEqual(logNames === 'salted' ? ['deployment', 'key'] : []);
    expect(answer.receipt.entry.includes('"llm"')).toBe(logNames === 'plain');
  });

  test('releases that come at once each have their own, and share checkpoints', async () => {
    const prepared = await Promise.all(Array.from({ length: 12 }, () => broker.request(machine, ASKED)));
    const answers = await Promise.all(
      prepared.map(async ({ request }) => valueOf(await broker.broker.release(request))),
    );
    const indexes = answers.map((answer, at) => verified(broker, prepared[at]!, answer).index);
    expect(new Set(indexes).size).toBe(12);
    expect(new Set(answers.map(({ receipt }) => receipt.checkpoint)).size).toBeLessThan(12);
  });

  test('a receipt of before a restart is one of the same log', async () => {
    const prepared = await broker.request(machine, ASKED);
    const answer = valueOf(await broker.broker.release(prepared.request));
    await broker.restart();
    expect(verified(broker, prepared, answer).head.origin).toMatch(
      new RegExp(`^${broker.context.broker}/[0-9a-f]{16}$`),
    );
  });
});

describe('where a quorum of witnesses is demanded', () => {
  const witness = new TestNoteKey('witness.example/w', 4);
  const witnesses = { keys: [parseVerifierKey(witness.vkey)], quorum: 1 };
  let broker: TestBroker;
  let machine: SimulatorAttester;
  beforeAll(async () => {
    ({ broker, machine } = await provisioned('plain'));
  });
  afterAll(() => broker.close());

  const waitingFor = (cover: (index: number) => Promise<string | undefined>): BrokerContext => ({
    ...broker.context,
    witnesses: { cover },
  });

  test('the receipt is for the checkpoint that they cosigned, also a later one', async () => {
    const covered: number[] = [];
    const context = waitingFor(async (index) => {
      covered.push(index);
      // The log has grown while the witness was asked.
      for (let more = 0; more < 3; more++) valueOf(await broker.release(machine, ASKED));
      const { checkpoint } = await broker.context.store.logHead();
      const text = checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1);
      return checkpoint + witness.cosignature(text, 1_800_000_000);
    });
    const prepared = await broker.request(machine, ASKED);
    const answer = valueOf(await release(context, prepared.request));
    const { index, head, cosigned } = verified(broker, prepared, answer, { witnesses });
    expect(covered).toEqual([index]);
    expect(head.size).toBe(index + 4);
    expect(cosigned).toEqual([{ name: witness.name, timeSeconds: 1_800_000_000n }]);
  });

  test('what was presented is not kept in memory while they are waited for', async () => {
    let cosign = (): void => undefined;
    const cosigned = new Promise<undefined>((resolve) => (cosign = () => resolve(undefined)));
    let asked = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (asked = resolve));
    const context = waitingFor(() => {
      asked();
      return cosigned;
    });
    const begin = async () => {
      const { request } = await broker.request(machine, ASKED);
      return { evidence: new WeakRef(request.evidence), outcome: release(context, request).catch(String) };
    };
    const { evidence, outcome } = await begin();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
    await waiting;
    // The store forgets a batch with the next one.
    valueOf(await broker.release(machine, ASKED));
    // Whoever looks at a weak reference keeps what it is of until the next turn: nobody looks before the end.
    for (let round = 0; round < 3; round++) {
      await turn();
      collect();
    }
    expect(evidence.deref()).toBeUndefined();
    cosign();
    expect(await outcome).toContain('UnwitnessedError');
  });

  test('and does not come, nothing is handed out: log.unwitnessed', async () => {
    const { request } = await broker.request(machine, ASKED);
    const { size } = await broker.context.store.logHead();
    const fault: unknown = await release(
      waitingFor(async () => undefined),
      request,
    ).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(UnwitnessedError);
    expect(refusalOfFault(fault)).toMatchObject({ ok: false, reason: 'log.unwitnessed' });
    // It is recorded, and its nonce is spent.
    expect((await broker.context.store.logHead()).size).toBe(size + 1);
    expect(await broker.broker.release(request)).toMatchObject({ ok: false, reason: 'challenge.replayed' });
  });
});
