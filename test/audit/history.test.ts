import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { History } from '../../src/audit/history.js';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import type { NameKind } from '../../src/translog/entry-members.js';
import { ENTRY_SCHEMAS } from '../../src/translog/entry-schemas.js';
import type { Members } from '../../src/translog/entry.js';
import { TestBroker } from '../helpers/test-broker.js';
import { drive, entriesOf, findingsIn } from './driven-broker.js';

type Mutable = Record<string, unknown>;

/** A genuine log that may be falsified: each test works on a copy. */
class Draft {
  readonly entries: Mutable[];
  readonly #nameOf: (kind: NameKind, name: string) => string;

  constructor(genuine: readonly Members[], nameOf: (kind: NameKind, name: string) => string) {
    this.entries = structuredClone(genuine) as Mutable[];
    this.#nameOf = nameOf;
  }

  /** Names are given as they are; in a salted log their pseudonyms are looked for, and written. */
  named(members: Mutable): Mutable {
    const kinds: Readonly<Record<string, NameKind>> = { deployment: 'deployment', key: 'key' };
    const rename = ([member, value]: [string, unknown]) => {
      const kind = kinds[member];
      return [member, kind === undefined || typeof value !== 'string' ? value : this.#nameOf(kind, value)];
    };
    return Object.fromEntries(Object.entries(members).map(rename)) as Mutable;
  }

  deployment(name: string): string {
    return this.#nameOf('deployment', name);
  }

  /** The index of the `nth` entry with these members, from 0; the last one for -1. */
  at(members: Mutable, nth = 0): number {
    const wanted = Object.entries(this.named(members));
    const found = this.entries.flatMap((entry, index) =>
      wanted.every(([member, value]) => entry[member] === value) ? [index] : [],
    );
    const index = found.at(nth);
    if (index === undefined) throw new Error(`no such entry: ${JSON.stringify(members)}`);
    return index;
  }

  /** Members that are undefined are taken out. */
  change(index: number, members: Mutable): number {
    const entry = { ...this.entries[index]!, ...this.named(members) };
    this.entries[index] = Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined));
    return index;
  }

  remove(index: number): void {
    this.entries.splice(index, 1);
  }

  /** Puts an entry behind another one, at the same time, as part of the same change where it is one. Returns its index. */
  insertBehind(index: number, entry: Mutable): number {
    const { time, state_generation } = this.entries[index]!;
    this.entries.splice(index + 1, 0, { ...entry, time, state_generation });
    return index + 1;
  }

  /** A copy of the first entry with these members, with others changed. */
  copy(members: Mutable, changed: Mutable = {}, nth = 0): Mutable {
    return { ...structuredClone(this.entries[this.at(members, nth)]!), ...this.named(changed) };
  }

  problems(): readonly string[] {
    return findingsIn(this.entries as readonly Members[]).map(({ index, problem }) => `${String(index)}: ${problem}`);
  }

  problemsAt(index: number): readonly string[] {
    return findingsIn(this.entries as readonly Members[])
      .filter((finding) => finding.index === index)
      .map(({ problem }) => problem);
  }
}

const LLM = { type: 'release', deployment: 'llm', key: 'weights' };
const OTHER_HASH = '12'.repeat(32);
const OTHER_ID = '34'.repeat(16);

describe.each(['plain', 'salted'] as const)('a log with %s names', (logNames) => {
  let broker: TestBroker;
  let genuine: readonly Members[];

  beforeAll(async () => {
    broker = await TestBroker.start({ logNames });
    await drive(broker);
    genuine = await entriesOf(broker);
  }, 60_000);
  afterAll(() => broker.close());

  const draft = () => new Draft(genuine, (kind, name) => broker.context.pseudonyms?.of(kind, name).value ?? name);
  const changed = (members: Mutable, to: Mutable, nth = 0): readonly string[] => {
    const log = draft();
    return log.problemsAt(log.change(log.at(members, nth), to));
  };
  const behind = (where: Mutable, entry: (log: Draft) => Mutable, nth = 0): readonly string[] => {
    const log = draft();
    return log.problemsAt(log.insertBehind(log.at(where, nth), entry(log)));
  };

  test('of a broker that was taken through everything holds nothing amiss', () => {
    expect(findingsIn(genuine)).toEqual([]);
    const types = new Set(genuine.map(({ type }) => type));
    const notDriven = Object.keys(ENTRY_SCHEMAS).filter((type) => !types.has(type));
    expect(notDriven).toEqual(['log.rollback_accepted']);
    expect(genuine.some(({ names }) => names === 'salted')).toBe(logNames === 'salted');
  });

  describe('in which the order is wrong', () => {
    test('because the time goes back', () => {
      const log = draft();
      const index = log.change(log.at(LLM), { time: '2020-01-01T00:00:00.000Z' });
      expect(log.problems()).toEqual([expect.stringMatching(`^${String(index)}: the time goes back from `)]);
    });

    test('because state_generation falls', () => {
      expect(changed(LLM, { state_generation: '1' })).toEqual([
        expect.stringMatching(/^state_generation goes .* to 1, back$/),
      ]);
    });

    test.each([LLM, { type: 'denial' }, { type: 'denial.summary' }, { type: 'broker.started' }])(
      'because a record raises state_generation: %j',
      (record) => {
        const log = draft();
        const index = log.at(record);
        const generation = String(BigInt(log.entries[index]!['state_generation'] as string) + 1n);
        log.change(index, { state_generation: generation });
        expect(log.problemsAt(index)).toEqual([expect.stringMatching(/without an administrative change$/)]);
      },
    );

    test('because an administrative change does not raise state_generation', () => {
      const log = draft();
      const release = log.at(LLM);
      expect(log.problemsAt(log.insertBehind(release, log.copy({ type: 'token.revoked' })))).toEqual([
        'an administrative change does not raise state_generation',
      ]);
    });

    test('because a change left no entry', () => {
      const log = draft();
      const index = log.at({ type: 'token.revoked' });
      log.remove(index);
      expect(log.problemsAt(index)).toEqual([expect.stringMatching(/: a change left no entry$/)]);
    });

    test('because an entry is left out: that is a mistake of the caller', () => {
      const history = new History();
      history.apply(0, genuine[0]!);
      expect(() => history.apply(2, genuine[2]!)).toThrow(RangeError);
      expect(() => history.apply(0, genuine[0]!)).toThrow(RangeError);
      expect(history.next).toBe(1);
    });
  });

  describe('in which an entry is none', () => {
    test('because its type is unknown', () => {
      expect(changed({ type: 'denial.summary' }, { type: 'key.lent' })).toEqual([
        'the entry is not valid: the type of the entry is not known',
      ]);
    });

    test.each([undefined, 7, null])('because its type is %j', (type) => {
      expect(changed({ type: 'denial.summary' }, { type })).toEqual(['the entry is not valid: it has no type']);
    });

    test.each([{ recipient: 'x' }, { extra: 1 }, { jwe_sha256: undefined }])(
      'because its schema is violated: %j',
      (bad) => {
        const problems = changed(LLM, bad);
        expect(problems).toEqual([
          expect.stringMatching(
            /^the entry is not valid: (?:\/recipient: must |the entry: must |the entry: unknown member "extra")/,
          ),
        ]);
      },
    );

    test('and the entries after it are judged all the same', () => {
      const log = draft();
      const bad = log.change(log.at({ type: 'key.rotated', key: 'weights' }), { version: 'x' });
      const released = log.at(LLM, 1);
      expect(log.problemsAt(bad)).toHaveLength(1);
      expect(log.problemsAt(bad + 1)).toEqual([
        'released version ' +
          String(log.entries[released]!['version']) +
          ` of key ${String(log.entries[released]!['key'])}, which did not exist`,
      ]);
    });
  });

  describe('of another broker', () => {
    test('because it does not begin with its initialisation', () => {
      const log = draft();
      log.remove(0);
      expect(log.problemsAt(0)).toContain('the log does not begin with the initialisation of a broker');
    });

    test('because it is initialised twice', () => {
      expect(behind({ type: 'token.created' }, (log) => log.copy({ type: 'broker.initialised' }))).toEqual([
        'a broker is initialised in a log that has one',
      ]);
    });

    test.each([LLM, { type: 'broker.started' }])('because broker or profile is another one in %j', (entry) => {
      expect(changed(entry, { broker: 'another' })).toEqual([
        expect.stringMatching(/^broker another writes in the log of /),
      ]);
      expect(changed(entry, { profile: 'production' })).toEqual([
        'the profile is production, while the broker was initialised for development',
      ]);
    });
  });

  describe('with a release to a deployment', () => {
    test('that did not exist', () => {
      expect(changed(LLM, { deployment: 'nobody' })).toContainEqual(
        expect.stringMatching(/^released to deployment \S+, which did not exist$/),
      );
      expect(behind({ type: 'broker.started' }, (log) => log.copy(LLM))).toHaveLength(2);
    });

    test('that was frozen', () => {
      const thaw = (log: Draft) => log.copy(LLM, {}, 1);
      const problems = behind({ type: 'deployment.frozen', deployment: 'llm' }, thaw);
      expect(problems).toContainEqual(expect.stringMatching(/^released to deployment \S+, which was frozen$/));
      expect(behind({ type: 'deployment.unfrozen', deployment: 'llm' }, thaw)).toEqual([]);
    });

    test('whose boot chain was not what the release says', () => {
      expect(changed(LLM, { boot: 'unmeasured' })).toEqual([
        expect.stringMatching(/said to be unmeasured, while that of .* was pinned$/),
      ]);
    });
  });

  describe('with a release under a policy', () => {
    const dated = { type: 'release', deployment: 'dated' };

    test('that was never registered', () => {
      expect(changed(LLM, { policy_sha256: OTHER_HASH })).toEqual([
        expect.stringMatching(
          new RegExp(`^released under policy ${OTHER_HASH}, which deployment \\S+ did not accept then$`),
        ),
      ]);
    });

    test('that was registered for another deployment', () => {
      expect(changed({ ...LLM }, { policy_sha256: 'cd'.repeat(32) })).toHaveLength(1);
    });

    test('that was retired', () => {
      const log = draft();
      const { policy_sha256 } = log.entries[log.at(dated)]!;
      const problems = behind({ type: 'policy.retired', deployment: 'dated', policy_sha256 }, (each) =>
        each.copy(dated),
      );
      expect(problems).toEqual([expect.stringMatching(/did not accept then$/)]);
    });

    test('outside of its dates', () => {
      const log = draft();
      const release = log.at(dated, -1);
      const { time, policy_sha256 } = log.entries[release]!;
      const registered = log.at({ type: 'policy.registered', deployment: 'dated', policy_sha256 }, -1);
      const offset = (ms: number) => new Date(Date.parse(time as string) + ms).toISOString();
      const withDates = (dates: Mutable) => {
        const edited = draft();
        edited.change(registered, { not_before: undefined, not_after: undefined, ...dates });
        return edited.problemsAt(release);
      };
      const outside = [expect.stringMatching(/ at \S+, outside of its dates$/)];
      expect(withDates({ not_before: offset(1) })).toEqual(outside);
      expect(withDates({ not_before: offset(0) })).toEqual([]);
      expect(withDates({ not_after: offset(-10_000) })).toEqual(outside);
      expect(withDates({ not_after: offset(-9_999) })).toEqual([]);
    });

    test('by another SHA-384 than it was registered with', () => {
      const bySha384 = [expect.stringMatching(/by another SHA-384 than it was registered with$/)];
      expect(changed({ type: 'release', deployment: 'big' }, { policy_sha384: '56'.repeat(48) })).toEqual(bySha384);
      expect(changed({ type: 'release', deployment: 'big' }, { policy_sha384: undefined })).toEqual(bySha384);
      expect(changed(LLM, { policy_sha384: '56'.repeat(48) })).toEqual(bySha384);
      const log = draft();
      log.change(log.at({ type: 'policy.registered', deployment: 'big' }), { policy_sha384: undefined });
      const release = log.change(log.at({ type: 'release', deployment: 'big' }), { policy_sha384: undefined });
      expect(log.problemsAt(release)).toEqual(bySha384);
    });
  });

  describe('with a release to an AK', () => {
    const untrusted = [
      expect.stringMatching(/^released to AK [0-9a-f]{64}, which was not pinned for deployment \S+ by this Name$/),
    ];

    test('that nobody pinned, or under another Name, or for another deployment', () => {
      expect(changed(LLM, { ak_spki_sha256: OTHER_HASH })).toEqual(untrusted);
      expect(changed(LLM, { ak_name: `000b${OTHER_HASH}` })).toEqual(untrusted);
      const { ak_spki_sha256, ak_name } = draft().copy({ type: 'release', deployment: 'big' });
      expect(changed(LLM, { ak_spki_sha256, ak_name })).toEqual(untrusted);
    });

    test('before it was pinned', () => {
      expect(behind({ type: 'policy.registered', deployment: 'llm' }, (log) => log.copy(LLM))).toEqual(
        expect.arrayContaining(untrusted),
      );
    });

    test('that was revoked', () => {
      const log = draft();
      const { ak_spki_sha256 } = log.entries[log.at({ type: 'attester.revoked' })]!;
      const problems = behind({ type: 'attester.revoked' }, (each) => each.copy({ ...LLM, ak_spki_sha256 }));
      expect(problems).toEqual([`released to AK ${String(ak_spki_sha256)}, which was revoked`]);
    });

    test('that is pinned where the deployment trusts simulators alone', () => {
      expect(changed({ type: 'release', deployment: 'toy' }, { ak_trust: 'pinned' })).toEqual(untrusted);
    });

    test('of a simulator, where the deployment trusts none, or outside of the development profile', () => {
      const simulator = expect.stringMatching(
        /^released to a simulator, AK [0-9a-f]{64}, which deployment \S+ did not trust$/,
      );
      expect(changed(LLM, { ak_trust: 'simulator' })).toEqual([simulator]);
      const log = draft();
      log.change(0, { profile: 'production' });
      expect(log.problemsAt(log.at({ type: 'release', deployment: 'toy' }))).toContainEqual(simulator);
    });

    test('by the report of a confidential VM that the entry does not name, or the deployment does not trust', () => {
      const report = { ak_trust: 'cvm-report', cvm: 'snp', cvm_measurement: 'ab'.repeat(48) };
      const problems = (trust: readonly string[], members: Mutable): readonly string[] => {
        const log = draft();
        log.change(log.at({ type: 'deployment.applied', deployment: 'llm' }), { trust });
        return log.problemsAt(log.change(log.at(LLM), members));
      };
      const trusting = ['pinned', 'cvm-report'];
      expect(problems(trusting, report)).toEqual([]);
      expect(problems(trusting, { ...report, ak_name: 'none', ak_spki_sha256: undefined })).toEqual([]);
      for (const without of [{ cvm: undefined }, { cvm_measurement: undefined }]) {
        expect(problems(trusting, { ...report, ...without })).toEqual([
          expect.stringMatching(/for the report of a confidential VM, which the entry does not name/),
        ]);
      }
      expect(problems(['pinned'], report)).toEqual([expect.stringMatching(/for the report of a confidential VM/)]);
    });

    test('in quarantine, whatever vouches for it', () => {
      const log = draft();
      const { ak_spki_sha256, ak_name } = log.entries[log.at(LLM)]!;
      const quarantine = { type: 'attester.quarantined', quarantined: true };
      const problems = behind(quarantine, (each) => each.copy(LLM));
      expect(problems).toEqual([]);
      log.change(log.at(quarantine), { ak_spki_sha256, ak_name });
      const release = log.copy(LLM);
      expect(log.problemsAt(log.insertBehind(log.at(quarantine), release))).toEqual([
        `released to AK ${String(ak_spki_sha256)}, which was in quarantine`,
      ]);
      const ended = draft();
      ended.change(ended.at(quarantine), { ak_spki_sha256, ak_name });
      const end = ended.at({ ...quarantine, quarantined: false });
      ended.change(end, { ak_spki_sha256, ak_name });
      expect(ended.problemsAt(ended.insertBehind(end, release))).toEqual([]);
    });
  });

  describe('with a release to an AK that a certificate vouches for', () => {
    const enrolled = { type: 'release', deployment: 'tpms', ak_trust: 'ek-certificate' };
    const byEk = { ...enrolled, ak_allowed_by: 'ek' };
    const byRoot = { ...enrolled, ak_allowed_by: 'any-from-roots' };
    const byAdministrator = { ...enrolled, ak_allowed_by: 'administrator' };
    const byCertificate = { type: 'release', deployment: 'cloud' };
    const notEnrolled = [
      expect.stringMatching(
        /^released to AK [0-9a-f]{64}, which EK \S+ did not enrol for deployment \S+ by this Name$/,
      ),
    ];

    test('that was not enrolled: for this deployment, by this EK, under this Name, or yet', () => {
      expect(changed(byEk, { ek_spki_sha256: OTHER_HASH })).toEqual(notEnrolled);
      expect(changed(byEk, { ak_name: `000b${OTHER_HASH}` })).toEqual(notEnrolled);
      expect(changed(byEk, { ak_spki_sha256: OTHER_HASH })).toEqual(notEnrolled);
      const log = draft();
      const { ak_spki_sha256 } = log.entries[log.at(byEk)]!;
      log.change(log.at({ type: 'attester.enrolled', ak_spki_sha256 }), { deployment: 'llm' });
      expect(log.problemsAt(log.at(byEk))).toEqual(notEnrolled);
      const removed = draft();
      removed.remove(removed.at({ type: 'attester.enrolled', ak_spki_sha256 }));
      expect(removed.problemsAt(removed.at(byEk))).toEqual(notEnrolled);
    });

    test('whose kind the deployment did not trust', () => {
      const log = draft();
      for (const [index, entry] of log.entries.entries()) {
        if (entry['type'] === 'deployment.applied') log.change(index, { trust: ['pinned', 'cvm-report'] });
      }
      expect(log.problemsAt(log.at(byEk))).toEqual(notEnrolled);
      expect(log.problemsAt(log.at(byCertificate))).toEqual([
        expect.stringMatching(/^released to AK \S+ for its certificate, which deployment \S+ did not trust$/),
      ]);
    });

    test('that was forgotten for a newer one of its EK', () => {
      const replaced = draft().entries.find((entry) => 'replaced' in entry)!;
      const ak_spki_sha256 = replaced['replaced'];
      const log = draft();
      const { ak_name, ek_spki_sha256 } = log.entries[log.at({ type: 'attester.enrolled', ak_spki_sha256 })]!;
      const as = { ak_spki_sha256, ak_name, ek_spki_sha256 };
      const at = log.entries.findIndex((entry) => 'replaced' in entry);
      expect(log.problemsAt(log.insertBehind(at - 1, log.copy(byRoot, as)))).toEqual([]);
      expect(log.problemsAt(log.insertBehind(at + 1, log.copy(byRoot, as)))).toEqual(notEnrolled);
    });

    test('for the root alone, where the deployment did not say so', () => {
      const alone = [
        expect.stringMatching(/^released to AK \S+ for its root alone, which deployment \S+ did not allow$/),
      ];
      expect(changed(byEk, { ak_allowed_by: 'any-from-roots' })).toEqual(alone);
      expect(changed(byCertificate, { ak_allowed_by: 'any-from-roots' })).toEqual(alone);
      const log = draft();
      log.change(log.at({ type: 'deployment.applied', deployment: 'tpms', any_from_roots: true }), {
        any_from_roots: false,
      });
      expect(log.problemsAt(log.at(byRoot))).toEqual(alone);
    });

    test('by an administrator, where none had trusted it, or for another deployment', () => {
      const nobody = [
        expect.stringMatching(/^released to AK \S+, which no administrator had trusted for deployment \S+$/),
      ];
      expect(changed(byEk, { ak_allowed_by: 'administrator' })).toEqual(nobody);
      expect(changed(byCertificate, { ak_allowed_by: 'administrator' })).toEqual(nobody);
      const log = draft();
      log.change(log.at({ type: 'attester.trusted', deployment: 'tpms' }), { deployment: 'cloud' });
      log.change(log.at({ type: 'deployment.applied', deployment: 'cloud' }), { deployment: 'other' });
      expect(log.problemsAt(log.at(byAdministrator))).toEqual(nobody);
    });

    test('by a rule that its kind has not, or by none', () => {
      const rule = [expect.stringMatching(/^released to AK \S+ by trust of kind \S+, let in by \S+$/)];
      expect(changed(byEk, { ak_allowed_by: undefined })).toEqual(rule);
      expect(changed(byCertificate, { ak_allowed_by: undefined })).toEqual(rule);
      expect(changed(byCertificate, { ak_allowed_by: 'ek' })).toEqual(rule);
      expect(changed(LLM, { ak_allowed_by: 'ak' })).toEqual(rule);
      for (const ak_allowed_by of ['ak', 'instance']) {
        expect(changed(byEk, { ak_allowed_by })).toEqual([]);
        expect(changed(byCertificate, { ak_allowed_by })).toEqual([]);
      }
    });

    test('with an EK, where that did not vouch for it, or without, where it did', () => {
      const with_ = [expect.stringMatching(/^released to AK \S+ by trust of kind \S+, with an EK$/)];
      expect(changed(LLM, { ek_spki_sha256: OTHER_HASH })).toEqual(with_);
      expect(changed(byCertificate, { ek_spki_sha256: OTHER_HASH })).toEqual(with_);
      expect(changed(byEk, { ek_spki_sha256: undefined })).toEqual([
        expect.stringMatching(/^released to AK \S+ by trust of kind ek-certificate, without its EK$/),
        ...notEnrolled,
      ]);
    });

    test('whose EK was revoked, also where an administrator pinned it', () => {
      const revoked = { type: 'endorsement.revoked' };
      const gone = [expect.stringMatching(/^released to AK \S+ of EK [0-9a-f]{64}, which was revoked$/)];
      expect(behind(revoked, (log) => log.copy(byRoot))).toEqual(gone);
      const { ak_spki_sha256: pinned } = draft().entries[draft().at(byAdministrator)]!;
      const log = draft();
      const { ek_spki_sha256 } = log.entries[log.at(byAdministrator)]!;
      log.change(log.at(revoked), { identity: `ek/${String(ek_spki_sha256)}` });
      const copy = log.copy({ type: 'release', ak_spki_sha256: pinned, ak_trust: 'pinned' });
      expect(log.problemsAt(log.insertBehind(log.at(revoked), copy))).toEqual(gone);
    });

    test('whose public area was left out: it has no Name', () => {
      const log = draft();
      expect(log.problemsAt(log.at({ ...byCertificate, ak_name: 'unknown' }))).toEqual([]);
      expect(changed(byEk, { ak_name: 'unknown' })).toEqual(notEnrolled);
    });
  });

  describe('with an enrolment', () => {
    const enrolment = { type: 'attester.enrolled', deployment: 'tpms' };

    test('of an AK, or by an EK, that was revoked', () => {
      const log = draft();
      const { ak_spki_sha256 } = log.entries[log.at({ type: 'attester.revoked' })]!;
      expect(
        log.problemsAt(log.insertBehind(log.at({ type: 'attester.revoked' }), log.copy(enrolment, { ak_spki_sha256 }))),
      ).toEqual([`AK ${String(ak_spki_sha256)} is enrolled, which was revoked`]);
      const { ek_spki_sha256 } = draft().copy({ type: 'release', ak_allowed_by: 'any-from-roots' });
      const again = { ek_spki_sha256, ak_spki_sha256: OTHER_HASH };
      expect(behind({ type: 'endorsement.revoked' }, (each) => each.copy(enrolment, again))).toEqual([
        `AK ${OTHER_HASH} is enrolled by EK ${String(ek_spki_sha256)}, which was revoked`,
      ]);
    });

    test('that takes over an AK: another EK, or another Name', () => {
      expect(behind(enrolment, (log) => log.copy(enrolment, { ek_spki_sha256: OTHER_HASH }))).toEqual([
        expect.stringMatching(new RegExp(`^AK \\S+ is enrolled by EK ${OTHER_HASH}, while it was by EK [0-9a-f]{64}$`)),
      ]);
      expect(behind(enrolment, (log) => log.copy(enrolment, { ak_name: `000b${OTHER_HASH}` }))).toEqual([
        expect.stringMatching(/^AK \S+ is enrolled under another Name than before$/),
      ]);
      expect(behind(enrolment, (log) => log.copy(enrolment))).toEqual([]);
    });

    test('of another deployment says nothing of this one: another EK, another Name, and what is forgotten with it', () => {
      const foreign = { deployment: 'more-tpms', ek_spki_sha256: OTHER_HASH, ak_name: `000b${OTHER_HASH}` };
      expect(behind(enrolment, (log) => log.copy(enrolment, foreign))).toEqual([]);
      const log = draft();
      const { ak_spki_sha256 } = log.entries[log.at({ type: 'release', ak_allowed_by: 'any-from-roots' })]!;
      const at = log.at({ type: 'attester.enrolled', ak_spki_sha256 });
      log.insertBehind(at, log.copy(enrolment, { ...foreign, ak_spki_sha256 }));
      const again = { ...foreign, ak_spki_sha256: OTHER_HASH, replaced: ak_spki_sha256 };
      expect(log.problemsAt(log.insertBehind(at + 1, log.copy(enrolment, again)))).toEqual([]);
      expect(log.problemsAt(log.at({ type: 'release', ak_allowed_by: 'any-from-roots' }))).toEqual([]);
    });

    test('for a deployment that does not exist, or in the place of an AK of another EK', () => {
      expect(changed(enrolment, { deployment: 'nobody' })).toEqual([
        expect.stringMatching(/^deployment \S+ does not exist$/),
      ]);
      const { ak_spki_sha256 } = draft().copy({ type: 'release', ak_allowed_by: 'administrator' });
      const last = draft();
      expect(last.problemsAt(last.change(last.at(enrolment, -1), { replaced: ak_spki_sha256 }))).toEqual([
        expect.stringMatching(/^AK \S+ is forgotten, which EK \S+ did not enrol$/),
      ]);
    });
  });

  describe('with a release of a key', () => {
    const weights = { type: 'key.state', key: 'weights' };

    test('that did not exist', () => {
      expect(changed(LLM, { key: 'nothing' })).toEqual([
        expect.stringMatching(/^released key \S+, which did not exist$/),
      ]);
      expect(behind({ type: 'attester.trusted', deployment: 'llm' }, (log) => log.copy(LLM))).toHaveLength(1);
      expect(
        behind({ type: 'key.purged', key: 'brief', version: undefined }, (log) => log.copy(LLM, { key: 'brief' })),
      ).toEqual([expect.stringMatching(/which did not exist$/)]);
    });

    test('in a version that did not exist', () => {
      expect(changed(LLM, { version: OTHER_ID })).toEqual([
        expect.stringMatching(new RegExp(`^released version ${OTHER_ID} of key \\S+, which did not exist$`)),
      ]);
      const { version } = draft().copy({ type: 'release', deployment: 'big' });
      expect(changed(LLM, { version })).toHaveLength(1);
      const newest = draft().copy(LLM, {}, -1);
      expect(behind({ type: 'key.created', key: 'weights' }, () => newest)).toHaveLength(1);
    });

    test('in a version that was disabled, deleted or destroyed', () => {
      const disabled = behind({ ...weights, state: 'disabled' }, (log) => log.copy(LLM, {}, -1));
      expect(disabled).toEqual([expect.stringMatching(/^released version \S+ of key \S+, which was disabled$/)]);
      const brief = (log: Draft, nth: number) => {
        const { version } = log.copy({ type: 'key.created', key: 'brief' });
        return { copy: log.copy(LLM, { key: 'brief', version }), nth };
      };
      const deleted = behind({ type: 'key.state', key: 'brief', state: 'deleted' }, (log) => brief(log, 0).copy);
      expect(deleted).toEqual([expect.stringMatching(/which was deleted$/)]);
      const destroyed = behind({ type: 'key.purged', key: 'brief' }, (log) => brief(log, 0).copy);
      expect(destroyed).toEqual([expect.stringMatching(/which was purged$/)]);
    });

    test('that was disabled or deleted as a whole', () => {
      const whole = (state: string) => {
        const log = draft();
        const index = log.change(log.at({ ...weights, state: 'disabled' }), { version: undefined, state });
        return log.problemsAt(log.insertBehind(index, log.copy(LLM)));
      };
      expect(whole('disabled')).toEqual([expect.stringMatching(/^released key \S+, which was disabled$/)]);
      expect(whole('deleted')).toEqual([expect.stringMatching(/^released key \S+, which was deleted$/)]);
    });

    test('that was frozen', () => {
      const frozen = [expect.stringMatching(/^released key \S+, which was frozen$/)];
      expect(behind({ ...weights, frozen: true }, (log) => log.copy(LLM))).toEqual(frozen);
      const { version } = draft().copy({ type: 'key.created', key: 'brief' }, {}, 1);
      const again = behind({ type: 'key.created', key: 'brief' }, (log) => log.copy(LLM, { key: 'brief', version }), 1);
      expect(again).toEqual(frozen);
    });

    test('that the deployment could not draw', () => {
      const { version } = draft().copy({ type: 'key.created', key: 'bigkey' });
      const early = behind({ type: 'key.created', key: 'bigkey' }, (log) => log.copy(LLM, { key: 'bigkey', version }));
      expect(early).toEqual([expect.stringMatching(/^released key \S+, which deployment \S+ could not draw then$/)]);
    });

    test('of very many deployments, by a later one of its entries', () => {
      const log = draft();
      const release = log.copy(LLM, {
        key: 'popular',
        version: log.copy({ type: 'key.created', key: 'popular' })['version'],
      });
      const links = log.entries.flatMap(({ linked }, at) =>
        Array.isArray(linked) ? [{ linked: linked as string[], at }] : [],
      );
      const llm = log.deployment('llm');
      const linked = links.find((each) => each.linked.includes(llm))!.at;
      const problems = (at: number) => {
        const edited = draft();
        return edited.problemsAt(edited.insertBehind(at, release));
      };
      expect(problems(linked)).toEqual([]);
      for (const at of [linked - 1, links.at(-1)!.at]) {
        expect(problems(at)).toEqual([expect.stringMatching(/could not draw then$/)]);
      }
      const entries = log.entries.filter(({ key }) => key === release['key']);
      expect(entries.map(({ type }) => type).filter((type) => type === 'key.linked').length).toBeGreaterThan(4);
    });
  });

  describe('that lost entries, and was gone on with', () => {
    /** A rollback in place of a token's creation, which nothing else depends on. */
    const rolledBack = (changes: Mutable = {}) => {
      const log = draft();
      const index = log.at({ type: 'token.created' }, 1);
      const keys = new Set(
        log.entries.slice(0, index).flatMap(({ type, key }) => (type === 'key.created' ? [key] : [])),
      );
      const { time, state_generation } = log.entries[index]!;
      const { broker: id, log_origin } = log.entries[0]!;
      log.entries[index] = {
        type: 'log.rollback_accepted',
        time,
        state_generation,
        log_origin: `${String(id)}/${'f'.repeat(16)}`,
        previous_origin: log_origin,
        previous_size: String(index),
        previous_root: OTHER_HASH,
        frozen_keys: keys.size,
        detail_sha256: OTHER_HASH,
        ...changes,
      };
      return { log, index };
    };

    test('has every key frozen from there on', () => {
      const { log, index } = rolledBack();
      const later = log.entries.flatMap(({ type }, at) => (type === 'release' && at > index ? [at] : []));
      expect(later.length).toBeGreaterThan(2);
      expect(log.problems()).toEqual(
        later.map((at) => expect.stringMatching(`^${String(at)}: released key \\S+, which was frozen$`)),
      );
    });

    test.each([
      [{ previous_size: '7' }, /^a log of 7 entries is gone on with, behind \d+ entries$/],
      [
        { previous_origin: `x/${'f'.repeat(16)}` },
        /^the log gone on with is x\/f+, while the entries before are those of /,
      ],
      [{ frozen_keys: 1 }, /^1 keys are frozen, of \d+$/],
    ])('does not say so truly: %j', (lie, problem) => {
      const { log, index } = rolledBack(lie);
      expect(log.problemsAt(index)).toEqual([expect.stringMatching(problem)]);
    });

    test('may be gone on with again, under its new name', () => {
      const { log, index } = rolledBack();
      const { log_origin } = log.entries[index]!;
      const again = { ...log.entries[index]!, previous_size: String(index + 1), previous_origin: log_origin };
      expect(log.problemsAt(log.insertBehind(index, again))).toEqual([]);
    });
  });

  describe('with a change of what cannot be changed so', () => {
    test('a deployment', () => {
      const applied = { type: 'deployment.applied', deployment: 'llm' };
      expect(changed(applied, { created: false })).toEqual([
        expect.stringMatching(/^deployment \S+ is changed, which does not exist$/),
      ]);
      expect(changed(applied, { created: true }, -1)).toEqual([
        expect.stringMatching(/^deployment \S+ is created, which exists$/),
      ]);
      for (const type of ['deployment.frozen', 'deployment.unfrozen']) {
        expect(changed({ type }, { deployment: 'nobody' })).toEqual([
          expect.stringMatching(/^deployment \S+ does not exist$/),
        ]);
      }
    });

    test('a policy', () => {
      expect(changed({ type: 'policy.registered' }, { deployment: 'nobody' })).toEqual([
        expect.stringMatching(/^deployment \S+ does not exist$/),
      ]);
      expect(changed({ type: 'policy.retired' }, { deployment: 'nobody' })).toHaveLength(1);
      expect(changed({ type: 'policy.retired' }, { policy_sha256: OTHER_HASH })).toEqual([
        expect.stringMatching(new RegExp(`^policy ${OTHER_HASH} is retired, which deployment \\S+ does not accept$`)),
      ]);
    });

    test('a key', () => {
      expect(changed({ type: 'key.created', key: 'bigkey' }, { key: 'weights' })).toEqual([
        expect.stringMatching(/^key \S+ is created, which exists$/),
      ]);
      for (const type of ['key.rotated', 'key.linked', 'key.state', 'key.purged']) {
        expect(changed({ type }, { key: 'nothing' })).toEqual([expect.stringMatching(/^key \S+ does not exist$/)]);
      }
      const { version } = draft().copy({ type: 'key.created', key: 'weights' });
      expect(changed({ type: 'key.rotated', key: 'weights' }, { version })).toEqual([
        expect.stringMatching(/^version \S+ of key \S+ is made twice$/),
      ]);
      const rotated = (log: Draft) => log.copy({ type: 'key.rotated', key: 'brief' }, { version: OTHER_ID });
      expect(behind({ type: 'key.state', key: 'brief', state: 'deleted' }, rotated, -1)).toEqual([
        expect.stringMatching(/^key \S+ is rotated, which is deleted$/),
      ]);
    });

    test('the links of a key', () => {
      const log = draft();
      const index = log.at({ type: 'key.linked', key: 'popular' });
      const name = log.deployment('nobody');
      log.change(index, { linked: [name], unlinked: [name] });
      expect(log.problemsAt(index)).toEqual([
        expect.stringMatching(/^key \S+ is unlinked from deployment \S+, which may not draw it$/),
        `deployment ${name} does not exist`,
      ]);
    });

    test('a version of a key', () => {
      const brief = { type: 'key.state', key: 'brief' };
      expect(changed(brief, { version: OTHER_ID })).toEqual([
        expect.stringMatching(/^version \S+ of key \S+ does not exist$/),
      ]);
      const enabled = behind({ type: 'key.purged', key: 'brief' }, (log) =>
        log.copy(brief, { state: 'enabled', purge_at: undefined }),
      );
      expect(enabled).toEqual([expect.stringMatching(/^version \S+ of key \S+ was destroyed$/)]);
    });

    test('what was not deleted, by destroying it', () => {
      const version = draft().copy({ type: 'key.created', key: 'bigkey' })['version'];
      const alive = [expect.stringMatching(/key \S+ is destroyed, which was not deleted$/)];
      expect(changed({ type: 'key.purged' }, { key: 'bigkey', version })).toEqual(alive);
      expect(changed({ type: 'key.purged' }, { key: 'bigkey', version: undefined })).toEqual(alive);
      expect(changed({ type: 'key.purged' }, { key: 'bigkey', version: OTHER_ID })).toEqual(alive);
    });

    test('an AK', () => {
      const log = draft();
      const revoked = log.at({ type: 'attester.revoked' });
      const { ak_spki_sha256 } = log.entries[revoked]!;
      const again = log.copy({ type: 'attester.trusted', ak_spki_sha256 });
      expect(log.problemsAt(log.insertBehind(revoked, again))).toEqual([
        `AK ${String(ak_spki_sha256)} is trusted, which was revoked`,
      ]);
      expect(changed({ type: 'attester.trusted' }, { deployment: 'nobody' })).toEqual([
        expect.stringMatching(/^deployment \S+ does not exist$/),
      ]);
    });
  });

  test('can be gone on with from any point, with the same findings', () => {
    const log = draft();
    for (const at of [LLM, { type: 'release', deployment: 'dated' }]) {
      log.change(log.at(at, -1), { version: OTHER_ID, ak_name: `000b${OTHER_HASH}` });
    }
    log.change(log.at({ type: 'key.linked' }), { linked: 'x' });
    const entries = log.entries as readonly Members[];
    const history = new History();
    const whole = findingsIn(entries, history);
    expect(whole.length).toBeGreaterThan(4);
    for (let cut = 0; cut < entries.length; cut += 23) {
      const first = new History();
      const before = findingsIn(entries.slice(0, cut), first);
      const kept: unknown = JSON.parse(JSON.stringify(first));
      const second = History.from(kept);
      expect(second.toJSON()).toEqual(kept);
      const after = entries.slice(cut).flatMap((entry, at) => second.apply(cut + at, entry));
      expect([...before, ...after]).toEqual(whole);
      expect(second.toJSON()).toEqual(history.toJSON());
    }
  });

  test('takes no more memory for more releases', () => {
    const history = new History();
    findingsIn(genuine, history);
    const before = JSON.stringify(history).length;
    const last = genuine.at(-1)!;
    const release = { ...draft().copy(LLM, {}, -1), time: last['time'], state_generation: last['state_generation'] };
    for (let at = 0; at < 1000; at++) expect(history.apply(history.next, release as Members)).toEqual([]);
    expect(JSON.stringify(history).length - before).toBeLessThan(8);
  });
});

test('a log that goes from plain to salted names cannot be followed, and it is said why', async () => {
  const broker = await TestBroker.start({ logNames: 'plain' });
  await broker.deploy('llm');
  const plain = await entriesOf(broker);
  const other = await TestBroker.start({ logNames: 'salted' });
  await other.deploy('llm');
  const salted = await entriesOf(other);
  await Promise.all([broker.close(), other.close()]);
  const applied = salted.findIndex(({ type }) => type === 'deployment.applied');
  const frozen = { ...salted[applied]!, state_generation: '3', time: plain.at(-1)!['time']! };
  const problems = findingsIn([...plain, frozen]).map(({ problem }) => problem);
  expect(problems).toEqual(['names are salted from here on, so that nothing is known of what they name']);
});

describe('a history', () => {
  test('is read from what it wrote, and from nothing else', () => {
    const good = new History().toJSON();
    for (const bad of [
      undefined,
      null,
      [],
      {},
      { ...good, version: 1 },
      { ...good, version: 3 },
      { ...good, next: -1 },
      { ...good, extra: 1 },
      { ...good, keys: { k: {} } },
      { ...good, generation: '-1' },
    ]) {
      expect(() => History.from(bad)).toThrow(MalformedError);
    }
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(() => History.from(json)).toThrow(MalformedError);
      }),
      { numRuns: 200 },
    );
  });

  test('takes any entry without failing', () => {
    const history = new History();
    const members = fc
      .dictionary(fc.string(), fc.jsonValue())
      .chain((some) => fc.constantFrom(...Object.keys(ENTRY_SCHEMAS)).map((type) => ({ ...some, type })));
    fc.assert(
      fc.property(members, (entry) => {
        expect(history.apply(history.next, entry as Members).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});
