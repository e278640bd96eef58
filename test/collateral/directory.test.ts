import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CollateralDirectory } from '../../src/collateral/directory.js';
import { pemBlocks } from '../../src/crypto/pem.js';
import { pemBlock } from '../helpers/pki.js';
import { crl, everything, type Files, MAKERS, PCK_CHAIN, put, qeIdentity, tcbInfo, TCB_CHAIN } from './simulated.js';

let path: string;
let told: string[];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'portcullis-collateral-'));
  told = [];
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

const unusable = (where: string, error: unknown) =>
  void told.push(`${where.slice(path.length + 1)}: ${(error as Error).message}`);
async function opened(files: Files, isOptional = false): Promise<CollateralDirectory> {
  put(path, files);
  const directory = new CollateralDirectory(path, unusable, isOptional);
  await directory.open(unusable);
  return directory;
}
const ders = (pem: Buffer) => pemBlocks(pem.toString(), 'CERTIFICATE', 8, 8192);

describe('a directory of collateral', () => {
  test('is read, whatever its files are called, and other files not at all', async () => {
    const files = everything();
    files.set('README.md', Buffer.from('nothing')).set('.draft.json', Buffer.from('nothing'));
    files.set('amd/notes.txt', Buffer.from('nothing')).set('tcbInfo-2.json', tcbInfo('00906ED50000'));
    const { collateral, pieces } = await opened(files);
    expect(told).toEqual([]);
    expect(collateral.tcbInfos.map(({ body }) => body)).toEqual([
      files.get('tcbInfo-2.json'),
      files.get('tcbInfo.json'),
    ]);
    expect(collateral.qeIdentities).toHaveLength(1);
    expect(collateral.crls).toHaveLength(4);
    expect(collateral.rims).toHaveLength(1);
    expect([...pieces.keys()]).toContain('rim/NV_GPU_DRIVER_GH100_550.144.03.xml');
  });

  test.each([
    ['its own chain', ['tcbInfo-a.json', 'tcbInfo-aIssuerChain.pem'], 'tcbInfo-a.json'],
    ['the chain of all TCB infos', ['tcbInfo-a.json', 'tcbInfoIssuerChain.pem'], 'tcbInfo-a.json'],
    ['the chain of the QE identity', ['tcbInfo.json', 'qeIdentityIssuerChain.pem'], 'tcbInfo.json'],
    ['another chain of the TCB signer', ['tcbInfo.json', 'tcbSignChain.pem'], 'tcbInfo.json'],
  ])('gives a document %s', async (_, [document, chain]) => {
    const files = new Map([
      [document!, tcbInfo()],
      [chain!, TCB_CHAIN],
      ['pckCrlIssuerChain.pem', PCK_CHAIN],
    ]);
    const { collateral } = await opened(files);
    expect(collateral.tcbInfos[0]?.issuerChain).toEqual(ders(TCB_CHAIN));
  });

  test('prefers the chain of a document to all others, and has no chain where there is none', async () => {
    const files = new Map([
      ['qeIdentity.json', qeIdentity()],
      ['qeIdentityIssuerChain.pem', Buffer.from(pemBlock('CERTIFICATE', MAKERS.intel.tcbSigning.certificate))],
      ['tcbInfo.json', tcbInfo()],
      ['tcbInfoIssuerChain.pem', TCB_CHAIN],
    ]);
    const { collateral } = await opened(files);
    expect(collateral.qeIdentities[0]?.issuerChain).toHaveLength(1);
    expect(collateral.tcbInfos[0]?.issuerChain).toHaveLength(2);
    rmSync(path, { recursive: true });
    const bare = await opened(
      new Map([
        ['tcbInfo.json', tcbInfo()],
        ['pckCrlIssuerChain.pem', PCK_CHAIN],
      ]),
    );
    expect(bare.collateral.tcbInfos[0]?.issuerChain).toEqual([]);
  });

  test('gives the same object until a piece is another one, and the same documents while they are', async () => {
    const directory = await opened(everything());
    const before = directory.collateral;
    await directory.refresh();
    // Written again with the same content.
    utimesSync(join(path, 'tcbInfo.json'), 1000, 1000);
    put(path, new Map([['README.md', Buffer.from('x')]]));
    await directory.refresh();
    expect(directory.collateral).toBe(before);

    put(path, new Map([['rootCaCrl.der', crl(MAKERS.intel.root, { number: 6 })]]));
    await directory.refresh();
    expect(directory.collateral).not.toBe(before);
    expect(directory.collateral.tcbInfos[0]).toBe(before.tcbInfos[0]);
    expect(directory.collateral.rims[0]).toBe(before.rims[0]);

    const between = directory.collateral;
    put(path, new Map([['tcbInfoIssuerChain.pem', Buffer.concat([TCB_CHAIN, Buffer.from('# renewed\n')])]]));
    await directory.refresh();
    // Another chain may be another signer.
    expect(directory.collateral.tcbInfos[0]).not.toBe(between.tcbInfos[0]);
    expect(directory.collateral.tcbInfos[0]?.body).toBe(between.tcbInfos[0]?.body);
    expect(told).toEqual([]);
  });

  test('keeps what it has when a file becomes unusable, and says so once', async () => {
    const directory = await opened(everything());
    const before = directory.collateral;
    writeFileSync(join(path, 'tcbInfo.json'), '{"tcbInfo":');
    await directory.refresh();
    await directory.refresh();
    expect(told).toEqual(['tcbInfo.json: not valid JSON']);
    expect(directory.collateral).toBe(before);
    rmSync(join(path, 'tcbInfo.json'));
    await directory.refresh();
    expect(directory.collateral.tcbInfos).toEqual([]);
  });

  test('that need not be there is empty until it is, and then kept', async () => {
    const elsewhere = `${path}-later`;
    const directory = new CollateralDirectory(elsewhere, unusable, true);
    await directory.open(unusable);
    expect(directory.collateral.crls).toEqual([]);
    put(elsewhere, everything());
    await directory.refresh();
    expect(directory.collateral.crls).toHaveLength(4);
    expect(told).toEqual([]);
    renameSync(elsewhere, `${elsewhere}-away`);
    await directory.refresh();
    expect(directory.collateral.crls).toHaveLength(4);
    expect(told).toHaveLength(1);
    rmSync(`${elsewhere}-away`, { recursive: true });
  });

  test('that must be there and is not, is told', async () => {
    const directory = new CollateralDirectory(join(path, 'none'), unusable);
    await directory.open(unusable);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^none: ENOENT/);
  });

  test('follows links, as mounted configuration has them', async () => {
    put(`${path}-elsewhere`, new Map([['x', crl(MAKERS.intel.root)]]));
    symlinkSync(`${path}-elsewhere/x`, join(path, 'rootCaCrl.der'));
    const directory = await opened(new Map());
    expect([directory.collateral.crls.length, told]).toEqual([1, []]);
    put(`${path}-elsewhere`, new Map([['x', crl(MAKERS.intel.root, { number: 6 })]]));
    await directory.refresh();
    expect(directory.collateral.crls[0]?.crlNumber).toBe('06');
    rmSync(`${path}-elsewhere`, { recursive: true });
  });

  test('does not wait for a pipe in place of a file, and keeps what it had', async () => {
    const directory = await opened(everything());
    const before = directory.collateral;
    rmSync(join(path, 'rootCaCrl.der'));
    expect(spawnSync('mkfifo', [join(path, 'rootCaCrl.der')]).status).toBe(0);
    await directory.refresh();
    await directory.refresh();
    expect(told).toEqual(['rootCaCrl.der: not a file']);
    expect(directory.collateral).toBe(before);
  });

  // Its size is 0 by its status, and it has gigabytes.
  (existsSync('/proc/self/pagemap') ? test : test.skip)(
    'reads no more than the bound of a file without a size',
    async () => {
      symlinkSync('/proc/self/pagemap', join(path, 'rim-a.xml'));
      const { rss } = process.memoryUsage();
      await opened(new Map());
      // It takes no reads of an odd length, as the last one within the bound is.
      expect(told.join()).toMatch(/^rim-a\.xml: (?:more than 8388608 bytes$|EINVAL)/);
      expect(process.memoryUsage().rss - rss).toBeLessThan(256 * 1024 * 1024);
    },
    10_000,
  );

  test('has bounds: files, and their size', async () => {
    const many = new Map(Array.from({ length: 513 }, (_, n) => [`rim/${String(n)}`, Buffer.from('<x/>')] as const));
    const directory = await opened(new Map([['rim/big', Buffer.alloc(8 * 1024 * 1024 + 1, '<')]]));
    expect(told).toEqual(['rim/big: more than 8388608 bytes']);
    rmSync(join(path, 'rim/big'));
    put(path, many);
    await directory.refresh();
    expect(told.at(-1)).toBe(': more than 512 files of collateral');
    rmSync(join(path, 'rim/0'));
    await directory.refresh();
    expect(directory.collateral.rims).toHaveLength(512);
  });
});
