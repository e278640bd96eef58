import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  explainCrls,
  openRevocationLists,
  RevocationListDirectory,
  revocationListsOf,
} from '../../../src/cli/compose/revocation-lists.js';
import { UsageError } from '../../../src/cli/outcome.js';
import { revocationListFindings } from '../../../src/cli/doctor/revocation-lists.js';
import { openBroker } from '../../../src/cli/compose/open-broker.js';
import { NO_REVOCATION_LISTS } from '../../../src/endorsement/known-paths.js';
import { createBroker } from '../../../src/release/create-broker.js';
import { pemBlock } from '../../helpers/pki.js';
import { CertifiedMachine, TpmMaker } from '../../helpers/tpm-maker.js';
import { TestBroker } from '../../helpers/test-broker.js';

const maker = new TpmMaker();
let path: string;
let troubles: string[];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'portcullis-crls-'));
  troubles = [];
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

const put = (name: string, content: Buffer | string) => writeFileSync(join(path, name), content);
const crlPem = (...ders: readonly Buffer[]) => ders.map((der) => pemBlock('X509 CRL', der)).join('');
const open = (required = false) =>
  RevocationListDirectory.open(path, required, (where, why) => void troubles.push(`${where}: ${why}`));
const serials = ({ lists }: RevocationListDirectory) =>
  lists.lists.map((list) => [1, 2, 3, 4].filter((serial) => list.lists(`0${String(serial)}`)));

describe('a directory of CRLs', () => {
  test('is read: DER and PEM, several in one file, and other files not at all', async () => {
    put('a.crl', maker.crl([1]));
    put('b.pem', `# of the maker\n${crlPem(maker.crl([2]), maker.crl([3]))}`);
    put('c.CRL', crlPem(maker.crl([4], 'root')));
    put('README', 'nothing');
    put('d.crl.old', 'nothing');
    const directory = await open();
    expect(serials(directory)).toEqual([[1], [2], [3], [4]]);
    expect([...directory.files.keys()]).toEqual(['a.crl', 'b.pem', 'c.CRL']);
    expect(directory.lists.policy).toBe('if-present');
    expect((await open(true)).lists.policy).toBe('required');
  });

  test.each([
    ['no CRL', 'nothing'],
    ['an empty file', ''],
    ['a certificate', pemBlock('CERTIFICATE', maker.root)],
    ['a CRL cut short', maker.crl([1]).subarray(0, 100)],
    ['a CRL with a byte more', Buffer.concat([maker.crl([1]), Buffer.of(0)])],
    ['a certificate in DER', maker.root],
    ['PEM that is cut short', crlPem(maker.crl([1])).slice(0, 60)],
    ['more than 4 MiB', Buffer.alloc(4 * 1024 * 1024 + 1, 0x30)],
    ['more than 64 CRLs', crlPem(...Array<Buffer>(65).fill(maker.crl([1])))],
  ])('with %s in it is an error at the start that names the file', async (_, content) => {
    put('a.crl', maker.crl([1]));
    put('bad.pem', content);
    await expect(open()).rejects.toThrow(UsageError);
    await expect(open()).rejects.toThrow(join(path, 'bad.pem'));
    expect(troubles).toEqual([]);
  });

  test('that is none, or has a directory or too many files, is an error at the start', async () => {
    await expect(RevocationListDirectory.open(join(path, 'none'), false, () => undefined)).rejects.toThrow(
      'there is no such file',
    );
    mkdirSync(join(path, 'sub.crl'));
    await expect(open()).rejects.toThrow('sub.crl: not a file');
    rmSync(join(path, 'sub.crl'), { recursive: true });
    for (let i = 0; i < 65; i++) put(`${String(i)}.crl`, maker.crl([]));
    await expect(open()).rejects.toThrow('more than 64 files');
    rmSync(join(path, '64.crl'));
    expect((await open()).lists.lists).toHaveLength(64);
  });

  test('gives the same object until a CRL is another one', async () => {
    put('a.crl', maker.crl([1]));
    put('b.crl', maker.crl([2]));
    const directory = await open();
    const before = directory.lists;
    await directory.refresh();
    put('README', 'nothing');
    await directory.refresh();
    expect(directory.lists).toBe(before);

    put('a.crl', maker.crl([1, 3]));
    await directory.refresh();
    expect(directory.lists).not.toBe(before);
    expect(serials(directory)).toEqual([[1, 3], [2]]);
    // What has not changed is not read again.
    expect(directory.lists.lists[1]).toBe(before.lists[1]);

    put('c.crl', maker.crl([4]));
    rmSync(join(path, 'b.crl'));
    await directory.refresh();
    expect(serials(directory)).toEqual([[1, 3], [4]]);
    expect(troubles).toEqual([]);
  });

  test('notices a file of the same size and time that was put in the place of another one', async () => {
    put('a.crl', maker.crl([1]));
    utimesSync(join(path, 'a.crl'), 1000, 1000);
    const directory = await open();
    let other = maker.crl([2]);
    // ECDSA signatures vary in length.
    while (other.length !== maker.crl([1]).length) other = maker.crl([2]);
    put('next', other);
    utimesSync(join(path, 'next'), 1000, 1000);
    renameSync(join(path, 'next'), join(path, 'a.crl'));
    await directory.refresh();
    expect(serials(directory)).toEqual([[2]]);
  });

  test('keeps what it has when a file becomes unusable, says so once, and takes the file when it is good again', async () => {
    put('a.crl', maker.crl([1]));
    const directory = await open();
    const before = directory.lists;
    put('a.crl', 'half of a CRL');
    await directory.refresh();
    await directory.refresh();
    put('new.crl', 'nothing');
    await directory.refresh();
    await directory.refresh();
    expect(troubles).toEqual([
      `${join(path, 'a.crl')}: neither a CRL in DER nor one in PEM`,
      `${join(path, 'new.crl')}: neither a CRL in DER nor one in PEM`,
    ]);
    expect(directory.lists).toBe(before);
    put('a.crl', 'another half of a CRL');
    await directory.refresh();
    expect(troubles).toHaveLength(3);
    put('a.crl', maker.crl([2]));
    put('new.crl', maker.crl([3]));
    await directory.refresh();
    expect(serials(directory)).toEqual([[2], [3]]);
    expect(troubles).toHaveLength(3);
  });

  test('keeps what it has when it is gone, and says so once', async () => {
    put('a.crl', maker.crl([1]));
    const directory = await open();
    const before = directory.lists;
    renameSync(path, `${path}-away`);
    await directory.refresh();
    await directory.refresh();
    expect(directory.lists).toBe(before);
    expect(troubles).toEqual([`${path}: there is no such file`]);
    renameSync(`${path}-away`, path);
    await directory.refresh();
    expect(directory.lists).toBe(before);
  });
});

describe('a configuration', () => {
  test('that names none has no CRLs, and says nothing of them', async () => {
    const none = { crls: undefined, requireCrls: false };
    expect(await openRevocationLists(none)).toBeUndefined();
    expect(revocationListsOf(undefined)()).toBe(NO_REVOCATION_LISTS);
    expect(await explainCrls(none)).toEqual([]);
    expect(await revocationListFindings(none, Date.now())).toEqual([]);
  });

  test('says of each CRL what it has and until when', async () => {
    put('a.crl', maker.crl([1, 2], 'ca', Date.UTC(2030, 0, 1)));
    expect(await explainCrls({ crls: path, requireCrls: false })).toEqual([
      'CRL in a.crl: 2 revoked, current until 2030-01-01T00:00:00.000Z',
    ]);
  });

  test('is examined by the doctor', async () => {
    const examine = async (requireCrls = false) => {
      const [finding] = await revocationListFindings({ crls: path, requireCrls }, Date.UTC(2030, 0, 1));
      return finding;
    };
    expect(await examine()).toMatchObject({ status: 'warn', detail: expect.stringContaining('has none') as unknown });
    expect(await examine(true)).toMatchObject({ status: 'fail' });
    put('a.crl', maker.crl([1], 'ca', Date.UTC(2030, 0, 10)));
    expect(await examine()).toMatchObject({ status: 'ok' });
    put('b.crl', maker.crl([1], 'ca', Date.UTC(2030, 0, 2)));
    expect(await examine()).toMatchObject({ status: 'warn', detail: expect.stringContaining('b.crl') as unknown });
    put('c.crl', maker.crl([1], 'ca', Date.UTC(2029, 11, 31)));
    expect(await examine()).toMatchObject({ status: 'fail', detail: expect.stringContaining('c.crl') as unknown });
    put('d.crl', 'nothing');
    expect(await examine()).toMatchObject({ status: 'fail', detail: expect.stringContaining('d.crl') as unknown });
  });
});

describe('a broker', () => {
  test('holds certificates against the CRLs of its directory, as they are by then', async () => {
    const test = await TestBroker.start();
    const machine = await CertifiedMachine.make(maker, 'ecc256', { serial: 9 });
    const attesters = { trust: ['ek-certificate'], roots: [maker.rootPem] };
    await test.deploy('llm', { attesters });
    await test.context.store.close();
    put('ca.crl', maker.crl([]));
    const options = {
      dataDir: test.dataDir,
      profile: undefined,
      challengeTtlMs: 120_000,
      explain: 'full',
      logNames: 'plain',
      archiveEvidence: false,
      observer: test.context.observer,
    } as const;
    const opened = await openBroker({ ...options, endorsement: { crls: path, requireCrls: true } });
    try {
      const request = machine.request('llm');
      expect(await opened.broker.enrol(request)).toMatchObject({ reason: 'collateral.unavailable' });
      put('root.crl', maker.crl([], 'root'));
      const directory = await open(true);
      const broker = createBroker({ ...opened.context, revocationLists: revocationListsOf(directory) });
      expect(await broker.enrol(request)).toMatchObject({ ok: true });
      put('ca.crl', maker.crl([9]));
      await directory.refresh();
      expect(await broker.enrol(request)).toMatchObject({ reason: 'ek.revoked' });
    } finally {
      await opened.close();
    }
    put('bad.crl', 'nothing');
    await expect(openBroker({ ...options, endorsement: { crls: path, requireCrls: true } })).rejects.toThrow('bad.crl');
    await test.close();
  });
});
