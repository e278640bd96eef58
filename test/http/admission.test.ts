import { describe, expect, test } from '@jest/globals';
import { Admission, type AdmissionLimits } from '../../src/http/admission.js';
import type { Shed } from '../../src/http/ports.js';

const LIMITS: AdmissionLimits = { places: 1000, turnMs: 10, maxWaitMs: 100, unhurried: 5 };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** An admission whose clock goes on only where work is done: each request takes so many ms. */
function subject(limits: Partial<AdmissionLimits> = {}, costMs = 1) {
  let clockMs = 1000;
  const shed: Shed[] = [];
  const waits: number[] = [];
  const load = {
    shed: (what: Shed) => void shed.push(what),
    waited: (milliseconds: number) => void waits.push(milliseconds),
    level: () => undefined,
  };
  let accepted = 0;
  const admission = new Admission(
    { ...LIMITS, ...limits },
    load,
    () => accepted,
    () => clockMs,
  );
  const done: string[] = [];
  const work = (source: string): void => {
    clockMs += costMs;
    done.push(source);
    admission.leave(source);
  };
  /** Asks as the endpoint does; what it was refused for. */
  const ask = (source: string) => {
    const entered = admission.enter(source);
    if (typeof entered === 'string') return entered;
    if (entered === undefined) work(source);
    else void entered.then(() => work(source));
    return undefined;
  };
  return { admission, ask, done, shed, waits, pass: (ms: number) => (clockMs += ms), accept: () => accepted++ };
}

describe('admission', () => {
  test('lets in at once what a turn can do, and the rest in the turns after it', async () => {
    const { ask, done, waits, admission } = subject({ unhurried: 100 });
    for (let i = 0; i < 100; i++) expect(ask('a')).toBeUndefined();
    expect(done).toHaveLength(10);
    expect(admission.waiting).toBe(90);
    while (admission.waiting > 0) await turn();
    await turn();
    expect(done).toHaveLength(100);
    expect(waits).toHaveLength(90);
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(50);
    expect(admission.held).toBe(0);
  });

  test('is at rest after that, and lets in at once again', async () => {
    const { ask, done, admission } = subject();
    for (let i = 0; i < 12; i++) ask('a');
    while (admission.waiting > 0) await turn();
    await turn();
    done.length = 0;
    ask('a');
    expect(done).toEqual(['a']);
  });

  test('refuses whoever would wait too long, by what requests have cost lately', async () => {
    const { ask, admission, shed } = subject();
    /** Keeps so many waiting for a number of turns. */
    const press = async (turns: number): Promise<number> => {
      let most = 0;
      for (let i = 0; i < turns; i++) {
        while (ask('a') === undefined);
        most = admission.waiting;
        await turn();
      }
      return most;
    };
    const most = await press(50);
    // A ms each, in turns that do nothing else: about a hundred are worked off in 100 ms.
    expect(most).toBeGreaterThan(50);
    expect(most).toBeLessThan(200);
    expect(new Set(shed)).toEqual(new Set(['request.overload']));
    while (ask('a') === undefined);
    expect(admission.refusal('a')).toBe('overload');
  });

  test('a few may wait however slow it is', async () => {
    const { ask, admission } = subject({}, 1000);
    for (let i = 0; i < 6; i++) expect(ask('a')).toBeUndefined();
    for (let i = 0; i < 20; i++) {
      while (admission.waiting < 5) expect(ask('a')).toBeUndefined();
      await turn();
    }
  });

  test('a source that asks for little does not wait behind one that asks for much', async () => {
    const { ask, done, admission } = subject({ unhurried: 100 });
    for (let i = 0; i < 90; i++) ask('greedy');
    ask('modest');
    expect(done).not.toContain('modest');
    while (admission.waiting > 0) await turn();
    await turn();
    expect(done).toHaveLength(91);
    expect(done.indexOf('modest')).toBeLessThan(15);
  });

  test('under pressure the one that asks for too much is refused for it, and the other is let in', async () => {
    const { ask, done, admission, shed } = subject();
    for (let i = 0; i < 30; i++) {
      while (ask('greedy') === undefined);
      expect(ask('modest')).toBeUndefined();
      await turn();
    }
    expect(done.filter((source) => source === 'modest').length).toBeGreaterThanOrEqual(28);
    while (ask('greedy') === undefined);
    ask('modest');
    expect([admission.refusal('greedy'), admission.refusal('modest')]).toEqual(['share', undefined]);
    expect(shed).toContain('request.share');
  });

  test('with all places taken, a source has no more than its share of them, and the last one is overload', () => {
    const { admission, shed } = subject({ places: 10, turnMs: 1000 });
    for (let i = 0; i < 8; i++) expect(admission.enter('a')).toBeUndefined();
    expect(admission.enter('a')).toBe('share');
    expect([admission.enter('b'), admission.enter('c')]).toEqual([undefined, undefined]);
    expect(admission.enter('d')).toBe('overload');
    admission.leave('a');
    expect(admission.enter('d')).toBeUndefined();
    expect(shed).toEqual(['request.share', 'request.overload']);
  });

  test('where each source has places of its own, nobody else can take them', () => {
    const { admission, shed } = subject({ places: Infinity, placesEach: 3, turnMs: 1000 });
    for (let source = 0; source < 5000; source++) {
      for (let i = 0; i < 3; i++) expect(admission.enter(String(source))).toBeUndefined();
      expect(admission.enter(String(source))).toBe('share');
    }
    expect(admission.enter('one more')).toBeUndefined();
    expect(new Set(shed)).toEqual(new Set(['request.share']));
    admission.leave('7');
    expect([admission.enter('7'), admission.enter('7')]).toEqual([undefined, 'share']);
  });

  test('while connections queue up, turns are short, and as long as ever when they do not', async () => {
    const { ask, done, admission, accept } = subject({ turnMs: 16, unhurried: 1000 });
    /** How many are done in a turn, with one more waiting than that, while connections are accepted or not. */
    const turns = async (count: number, accepting: boolean): Promise<number[]> => {
      const each: number[] = [];
      for (let i = 0; i < count; i++) {
        const before = done.length;
        while (admission.waiting < 50) ask('a');
        if (accepting) accept();
        await turn();
        each.push(done.length - before);
      }
      return each.slice(-5);
    };
    expect(Math.min(...(await turns(20, false)))).toBeGreaterThan(8);
    expect(Math.max(...(await turns(20, true)))).toBeLessThanOrEqual(4);
    expect(Math.min(...(await turns(20, false)))).toBeGreaterThan(8);
    while (admission.waiting > 0) await turn();
  });

  test('refusals are answered in turns as well, and every one of them', async () => {
    const { admission, pass } = subject();
    let sent = 0;
    for (let i = 0; i < 30; i++) {
      admission.answer(() => {
        pass(1);
        sent++;
      });
    }
    expect(sent).toBe(0);
    await turn();
    await turn();
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(15);
    for (let i = 0; i < 10; i++) await turn();
    expect(sent).toBe(30);
  });

  test('refusing takes no more than half of the time: what is let in grows with what the rest of the turn takes', async () => {
    const { ask, done, admission, pass } = subject({ unhurried: 1000 });
    for (let i = 0; i < 200; i++) ask('a');
    await turn();
    const before = done.length;
    pass(40);
    await turn();
    await turn();
    expect(done.length - before).toBeGreaterThan(20);
    while (admission.waiting > 0) await turn();
  });
});
