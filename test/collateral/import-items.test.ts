import { describe, expect, test } from '@jest/globals';
import { type ImportRules, planImport } from '../../src/collateral/import-items.js';
import { contentOf, parsePiece } from '../../src/collateral/piece.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { issueCertificate, signingUsage, simulatorName } from '../../src/simulator/certificate.js';
import { simulatedMakers } from '../../src/simulator/makers.js';
import { pemBlock } from '../helpers/pki.js';
import {
  crl,
  DAY_MS,
  DRIVER,
  everything,
  type Files,
  FMSPC,
  FORGERS,
  MAKERS,
  NOW_MS,
  PCK_CHAIN,
  piecesOf,
  qeIdentity,
  rim,
  ROOTS,
  standings,
  tcbInfo,
  TCB_CHAIN,
  VBIOS,
} from './simulated.js';

const NONE: Files = new Map();

function plan(incoming: Files, held: Files = NONE, rules: Partial<ImportRules> = {}) {
  const planned = planImport(piecesOf(incoming), piecesOf(held), {
    roots: ROOTS,
    atMs: NOW_MS,
    allowOlder: false,
    replaceManifest: false,
    ...rules,
  });
  const results = planned.imported.map(({ standing, result, file }) => [standing.item.file, result, file]);
  return {
    ...planned,
    results: results.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    files: [...planned.writes.keys()],
  };
}

/** The directory after an import. */
function after(held: Files, writes: Files): Map<string, Buffer> {
  return new Map([...held, ...writes]);
}

describe('an import', () => {
  test('gives each piece a name of its own, with the chain of its signer before it', () => {
    const { results, files, writes } = plan(everything());
    expect(results).toEqual([
      ['amd/vcek-Milan.crl', 'written', 'amd/vcek-Milan.crl'],
      ['amd/vlek-Milan.crl', 'written', 'amd/vlek-Milan.crl'],
      ['pckCrl.der', 'written', 'pckCrl-platform.der'],
      ['qeIdentity.json', 'written', 'qeIdentity.json'],
      [`rim/${DRIVER}.xml`, 'written', `rim/${DRIVER}.swidtag`],
      ['rootCaCrl.der', 'written', 'rootCaCrl.der'],
      ['tcbInfo.json', 'written', `tcbInfo-${FMSPC}.json`],
    ]);
    for (const name of [`tcbInfo-${FMSPC}`, 'qeIdentity', 'pckCrl-platform']) {
      const chain = files.indexOf(`${name}IssuerChain.pem`);
      expect(chain).toBeGreaterThanOrEqual(0);
      expect(chain).toBeLessThan(files.findIndex((file) => file.startsWith(`${name}.`)));
    }
    // What was written is good by itself, and the same again.
    expect(plan(writes, writes).results.every(([, result]) => result === 'unchanged')).toBe(true);
  });

  test('replaces the file that speaks of the same thing, whatever its name', () => {
    const held = everything();
    const fresh = everything({ atMs: NOW_MS + DAY_MS, number: 19 });
    const { results, files } = plan(fresh, held, { atMs: NOW_MS + DAY_MS });
    expect(results.map(([, , file]) => file)).toEqual([
      'amd/vcek-Milan.crl',
      'amd/vlek-Milan.crl',
      'pckCrl.der',
      'qeIdentity.json',
      `rim/${DRIVER}.xml`,
      'rootCaCrl.der',
      'tcbInfo.json',
    ]);
    expect(files).not.toContain(`tcbInfo-${FMSPC}.json`);
  });

  test('keeps platforms apart', () => {
    const { files } = plan(
      new Map([
        ['tcbInfo.json', tcbInfo('00906ED50000')],
        ['tcbInfoIssuerChain.pem', TCB_CHAIN],
      ]),
      everything(),
    );
    expect(files).toEqual(['tcbInfo-00906ED50000IssuerChain.pem', 'tcbInfo-00906ED50000.json']);
  });

  test.each([
    ['that nobody vouches for', everything({ makers: FORGERS }), 'not signed by'],
    ['that is stale', everything({ atMs: NOW_MS - 30 * DAY_MS }), 'it was good until 2026-11-21T00:00:00.000Z only'],
    ['from the future', everything({ atMs: NOW_MS + 2 * DAY_MS }), 'it is good from 2026-11-23T00:00:00.000Z only'],
  ])('refuses what is %s, and says why', (_, files, why) => {
    const incoming = new Map([...files].filter(([name]) => !name.startsWith('rim/')));
    const { imported, writes } = plan(incoming);
    expect(imported.map(({ result }) => result)).toEqual(Array(6).fill('refused'));
    expect(imported.every((each) => each.why?.includes(why))).toBe(true);
    expect(writes.size).toBe(0);
  });

  test('takes what is good although another piece is not', () => {
    const incoming = everything();
    incoming.set('rootCaCrl.der', crl(FORGERS.intel.root));
    const { results, files } = plan(incoming);
    expect(results.filter(([, result]) => result === 'refused')).toEqual([
      ['rootCaCrl.der', 'refused', 'rootCaCrl.der'],
    ]);
    expect(files).not.toContain('rootCaCrl.der');
    expect(files).toHaveLength(9);
  });

  describe('refuses to go back', () => {
    const held = everything();
    const chained = (name: string, body: Buffer) =>
      new Map([
        [name, body],
        ['tcbInfoIssuerChain.pem', TCB_CHAIN],
      ]);
    test.each([
      [
        'to TCB info that accounts for less, although it is younger',
        chained('a.json', tcbInfo(FMSPC, { number: 17, atMs: NOW_MS + DAY_MS / 2 })),
      ],
      ['to TCB info of an earlier day', chained('a.json', tcbInfo(FMSPC, { atMs: NOW_MS - DAY_MS }))],
      ['to a QE identity that accounts for less', chained('a.json', qeIdentity({ number: 17 }))],
      [
        'to a CRL of a lower number',
        new Map([['a.crl', crl(MAKERS.intel.root, { number: 4, atMs: NOW_MS + DAY_MS / 2 })]]),
      ],
      ['to a CRL of an earlier day', new Map([['a.crl', crl(MAKERS.intel.root, { atMs: NOW_MS - DAY_MS })]])],
      ['to a CRL of AMD of a lower number', new Map([['amd/vcek-x.crl', crl(MAKERS.amd.Milan.ark, { number: 4 })]])],
      ['to a CRL of a PCK CA, whose chain is there', new Map([['a.crl', crl(MAKERS.intel.pckCa, { number: 4 })]])],
    ])('%s', (_, incoming) => {
      const { imported, writes } = plan(incoming, held, { atMs: NOW_MS + DAY_MS / 2 });
      expect(imported[0]).toMatchObject({ result: 'older' });
      expect(imported[0]?.why).toMatch(/is newer; --allow-older/);
      expect(writes.size).toBe(0);
      const allowed = plan(incoming, held, { atMs: NOW_MS + DAY_MS / 2, allowOlder: true });
      expect(allowed.imported[0]?.result).toBe('written');
      const again = plan(held, after(held, allowed.writes));
      expect(again.imported.every(({ result }) => result !== 'older' && result !== 'refused')).toBe(true);
    });

    test('but not for the sake of something newer that nobody vouches for', () => {
      const forged = new Map(held).set('tcbInfo.json', tcbInfo(FMSPC, { number: 99, makers: FORGERS }));
      const { imported } = plan(chained('a.json', tcbInfo()), forged);
      expect(imported[0]).toMatchObject({ result: 'written', file: 'tcbInfo.json' });
    });

    test('also with --allow-older only to what is current and signed', () => {
      const stale = chained('a.json', tcbInfo(FMSPC, { atMs: NOW_MS - 40 * DAY_MS }));
      expect(plan(stale, held, { allowOlder: true }).imported[0]?.result).toBe('refused');
    });
  });

  test('takes the newest of what comes together', () => {
    const incoming = everything();
    incoming
      .set('tcbInfo-b.json', tcbInfo(FMSPC, { number: 19 }))
      .set('tcbInfo-c.json', tcbInfo(FMSPC, { number: 17 }));
    const { imported, writes } = plan(incoming);
    const results = Object.fromEntries(imported.map(({ standing, result }) => [standing.item.file, result]));
    expect(results).toMatchObject({
      'tcbInfo-b.json': 'written',
      'tcbInfo.json': 'superseded',
      'tcbInfo-c.json': 'superseded',
    });
    expect(writes.get(`tcbInfo-${FMSPC}.json`)).toEqual(incoming.get('tcbInfo-b.json'));
  });

  test('does not let the CRL for VLEKs take the place of the one for VCEKs', () => {
    const held = everything();
    held.delete('amd/vlek-Milan.crl');
    const { results } = plan(new Map([['amd/vlek-Milan.crl', crl(MAKERS.amd.Milan.ark, { number: 1 })]]), held);
    expect(results).toEqual([['amd/vlek-Milan.crl', 'written', 'amd/vlek-Milan.crl']]);
    expect(plan(new Map([['milan.crl', crl(MAKERS.amd.Milan.ark)]])).files).toEqual(['amd/ark-Milan.crl']);
  });

  describe('of a CRL of AMD', () => {
    const { ark } = MAKERS.amd.Milan;
    const VCEK = 'amd/vcek-Milan.crl';
    const held = (...revoked: readonly bigint[]) => new Map([[VCEK, crl(ark, {}, revoked)]]);
    const as = (name: string, number: number, ...revoked: readonly bigint[]) =>
      new Map([[name, crl(ark, { number }, revoked)]]);

    test('takes no place of one that revokes what it does not, whatever its number', () => {
      const { imported, writes } = plan(as(VCEK, 9, 8n), held(7n, 8n));
      expect(imported[0]).toMatchObject({ result: 'drops', file: VCEK });
      expect(imported[0]?.why).toContain('--allow-older');
      expect(writes.size).toBe(0);
      expect(plan(as(VCEK, 9, 8n), held(7n, 8n), { allowOlder: true }).imported[0]?.result).toBe('written');
      expect(plan(as(VCEK, 9, 8n, 7n, 6n), held(7n, 8n)).imported[0]?.result).toBe('written');
    });

    test('takes the place of one that nobody vouches for', () => {
      const forged = new Map([[VCEK, crl(FORGERS.amd.Milan.ark, { number: 99 }, [7n])]]);
      expect(plan(as(VCEK, 1), forged).imported[0]?.result).toBe('written');
    });

    test('takes the place of one of a higher number if it revokes all of that and more', () => {
      expect(plan(as(VCEK, 1, 7n, 8n), held(7n)).imported[0]?.result).toBe('written');
      expect(plan(as(VCEK, 1, 7n), held(7n)).imported[0]?.result).toBe('older');
      expect(plan(as(VCEK, 1, 8n), held(7n)).imported[0]?.result).toBe('drops');
    });

    test('drops nothing of a file that holds several', () => {
      const several = new Map([
        [VCEK, Buffer.from(pemBlock('X509 CRL', crl(ark)) + pemBlock('X509 CRL', crl(MAKERS.amd.Genoa.ark, {}, [7n])))],
      ]);
      expect(plan(as(VCEK, 9), several).imported[0]?.result).toBe('drops');
    });

    test('drops nothing of what comes together', () => {
      const both = new Map([...as('vcek-a.crl', 1, 7n), ...as('vcek-b.crl', 9)]);
      const { imported } = plan(both);
      expect(imported.map(({ standing, result }) => [standing.item.file, result])).toEqual([
        ['vcek-b.crl', 'written'],
        ['vcek-a.crl', 'drops'],
      ]);
      expect(plan(both, NONE, { allowOlder: true }).imported[1]?.result).toBe('superseded');
    });

    test('keeps each of another name in amd/', () => {
      const several = new Map([...as('amd/one.crl', 1), ...as('amd/two-Milan.crl', 9, 7n)]);
      const { files, writes } = plan(several, held());
      expect(files.toSorted()).toEqual(['amd/one-Milan.crl', 'amd/two-Milan.crl']);
      expect(plan(writes, writes).imported.every(({ result }) => result === 'unchanged')).toBe(true);
    });
  });

  describe('of a manifest', () => {
    const OTHER = rim('driver', MAKERS, Buffer.alloc(48, 2));
    const FILE = `rim/${DRIVER}.swidtag`;

    test('takes no place of a good one of its id that wants other measurements', () => {
      const held = new Map([['rim/mine.xml', rim()]]);
      const incoming = new Map([[FILE, OTHER]]);
      const { imported, writes } = plan(incoming, held, { allowOlder: true });
      expect(imported[0]).toMatchObject({ result: 'differs' });
      expect(imported[0]?.why).toBe(
        `rim/mine.xml wants other measurements of ${DRIVER}; --replace-manifest takes it all the same`,
      );
      expect(writes.size).toBe(0);
      expect(plan(incoming, held, { replaceManifest: true }).results).toEqual([[FILE, 'written', 'rim/mine.xml']]);
    });

    test('takes the place of one that wants the same, or is of another id, or forged', () => {
      // Signed again: other bytes.
      expect(plan(new Map([[FILE, rim()]]), new Map([[FILE, rim()]])).imported[0]?.result).toBe('written');
      expect(plan(new Map([[FILE, OTHER]]), new Map([['rim/v', rim('vbios')]])).imported[0]?.result).toBe('written');
      expect(plan(new Map([[FILE, OTHER]]), new Map([[FILE, rim('driver', FORGERS)]])).imported[0]?.result).toBe(
        'written',
      );
    });

    test('takes none of several that come together and contradict each other', () => {
      const incoming = new Map([
        ['rim/a', rim()],
        ['rim/b', OTHER],
      ]);
      expect(plan(incoming).imported.map(({ result }) => result)).toEqual(['differs', 'differs']);
      expect(plan(incoming).writes.size).toBe(0);
      const allowed = plan(incoming, NONE, { replaceManifest: true });
      expect(allowed.imported.map(({ result }) => result)).toEqual(['written', 'superseded']);
      // One that is not good contradicts nobody.
      const forged = new Map(incoming).set('rim/b', rim('driver', FORGERS, Buffer.alloc(48, 2)));
      expect(plan(forged).results.map(([, result]) => result)).toEqual(['written', 'refused']);
    });
  });

  test('refuses what a signer signed whom a CRL that lies there revokes', () => {
    const serial = BigInt(`0x${parseCertificate(MAKERS.intel.tcbSigning.certificate).serial}`);
    const incoming = new Map([
      ['tcbInfo.json', tcbInfo()],
      ['tcbInfoIssuerChain.pem', TCB_CHAIN],
    ]);
    const held = new Map([['rootCaCrl.der', crl(MAKERS.intel.root, {}, [serial])]]);
    expect(plan(incoming, NONE).imported[0]?.result).toBe('written');
    expect(plan(incoming, held).imported[0]).toMatchObject({
      result: 'refused',
      why: expect.stringContaining('revoked by its issuer') as unknown,
    });
  });

  test('keeps the name under which a RIM is served, and no other', () => {
    const [vbios, driver] = [rim('vbios'), rim('driver')];
    expect(plan(new Map([[`rim/${VBIOS}.json`, vbios]])).files).toEqual([`rim/${VBIOS}.swidtag`]);
    expect(plan(new Map([[`rim/${VBIOS}.json`, driver]])).files).toEqual([`rim/${DRIVER}.swidtag`]);
    expect(plan(new Map([['rim/x', vbios]])).files).toEqual(['rim/NV_GPU_VBIOS_GH100_96005E0001.swidtag']);
  });

  test('leaves a file alone that holds something else too', () => {
    const both = Buffer.concat(
      [crl(MAKERS.intel.root), crl(MAKERS.amd.Genoa.ark)].map((der) => {
        const piece = parsePiece(der);
        return contentOf(piece.kind === 'crls' ? { ...piece, crls: [...piece.crls, ...piece.crls] } : piece);
      }),
    );
    const { results } = plan(
      new Map([['rootCaCrl.der', crl(MAKERS.intel.root, { number: 6 })]]),
      new Map([['all.pem', both]]),
    );
    expect(results).toEqual([['rootCaCrl.der', 'written', 'rootCaCrl.der']]);
  });

  test('refuses what was not asked for', () => {
    const objection = () => 'it is something else';
    const { imported } = plan(everything(), NONE, { objection });
    expect(imported.every(({ result, why }) => result === 'refused' && why === 'it is something else')).toBe(true);
  });

  test('takes a PCK CRL by a chain that is there', () => {
    const { results } = plan(
      new Map([['x.der', crl(MAKERS.intel.pckCa)]]),
      new Map([['pckCrlIssuerChain.pem', PCK_CHAIN]]),
    );
    expect(results).toEqual([['x.der', 'written', 'pckCrl-platform.der']]);
  });
});

describe('a document by the next signer of Intel', () => {
  /** Another key under the same name and root. */
  const { intel } = simulatedMakers(Buffer.alloc(32, 9));
  const next = {
    ...intel.tcbSigning,
    certificate: issueCertificate(MAKERS.intel.root, {
      subject: simulatorName('Intel SGX TCB Signing'),
      spki: intel.tcbSigning.spki,
      serial: 99n,
      notBeforeMs: NOW_MS - DAY_MS,
      notAfterMs: NOW_MS + 900 * DAY_MS,
      extensions: [signingUsage()],
    }),
  };
  const makers = { ...MAKERS, intel: { ...MAKERS.intel, tcbSigning: next } };
  const chain = Buffer.from(
    [next.certificate, MAKERS.intel.root.certificate].map((der) => pemBlock('CERTIFICATE', der)).join(''),
  );

  test('leaves those of the former one, which share its chain, a chain of their own', () => {
    const held = new Map([
      ['tcbInfo.json', tcbInfo()],
      ['tcbInfo-B.json', tcbInfo('50434C000002')],
      ['tcbInfoIssuerChain.pem', TCB_CHAIN],
      ['qeIdentity.json', qeIdentity()],
    ]);
    const incoming = new Map([
      ['tcbInfo.json', tcbInfo(FMSPC, { makers, number: 19 })],
      ['tcbInfoIssuerChain.pem', chain],
    ]);
    const { files, writes } = plan(incoming, held);
    expect(files).toEqual([
      'tcbInfo-BIssuerChain.pem',
      'qeIdentityIssuerChain.pem',
      'tcbInfoIssuerChain.pem',
      'tcbInfo.json',
    ]);
    const faults = [...standings(after(held, writes))].map(([file, { fault }]) => [file, fault]);
    expect(faults).toEqual([
      ['tcbInfo.json', undefined],
      ['tcbInfo-B.json', undefined],
      ['qeIdentity.json', undefined],
    ]);
    expect(plan(incoming, after(held, writes)).files).toEqual([]);
  });
});
