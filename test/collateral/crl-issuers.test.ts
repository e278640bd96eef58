import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { chainUp, crlIssuers } from '../../src/collateral/crl-issuers.js';
import { COMMON_NAME, onlyAttribute } from '../../src/crypto/x509-name.js';
import { type Certificate, parseCertificate } from '../../src/crypto/x509.js';
import { PINNED_ROOTS } from '../../src/endorsement/hardware-roots.js';
import { pemBlock } from '../helpers/pki.js';
import { crl, type Files, FORGERS, MAKERS, piecesOf, rim, ROOTS, standings } from './simulated.js';

const NONE = crlIssuers(ROOTS).length;
const nameOf = ({ subject }: Certificate) => onlyAttribute(subject.attributes, COMMON_NAME);
const added = (files: Files, roots = ROOTS) =>
  crlIssuers(roots, piecesOf(files)).slice(crlIssuers(roots).length).map(nameOf);
const pem = (...cas: readonly { readonly certificate: Buffer }[]) =>
  Buffer.from(cas.map(({ certificate }) => pemBlock('CERTIFICATE', certificate)).join(''));

describe('who may sign a CRL', () => {
  const { root, identity, provisioner } = MAKERS.nvidiaDevices;

  test('are the pinned roots of all makers', () => {
    const names = crlIssuers(PINNED_ROOTS).map(nameOf);
    expect(names).toEqual([
      'ARK-Milan',
      'ARK-Genoa',
      'ARK-Turin',
      'Intel SGX Root CA',
      'NVIDIA Device Identity CA',
      'NVIDIA CoRIM signing Root CA',
    ]);
    expect(NONE).toBe(2 * names.length);
  });

  test('are CAs below those of Intel and NVIDIA, at any level, in whatever files and order', () => {
    expect(added(new Map([['a.pem', pem(provisioner, identity, root)]]))).toEqual([
      'NVIDIA GH100 Identity',
      'NVIDIA GH100 Provisioner ICA 1',
    ]);
    const apart = new Map([
      ['a.der', provisioner.certificate],
      ['b.der', identity.certificate],
    ]);
    expect(added(apart)).toHaveLength(2);
    // Without who is between.
    expect(added(new Map([['a.der', provisioner.certificate]]))).toEqual([]);
  });

  test('are the CAs by way of which a manifest is signed', () => {
    expect(added(new Map([['rim/x', rim()]]))).toEqual(['NVIDIA Reference Value Simulator CA']);
    expect(added(new Map([['rim/x', Buffer.from('<SoftwareIdentity/>')]]))).toEqual([]);
  });

  test('are no CAs of AMD, none of others, and nobody who is no CA', () => {
    const { ask } = MAKERS.amd.Milan;
    const { nvidiaDevices, intel } = FORGERS;
    expect(added(new Map([['a.pem', pem(ask, nvidiaDevices.identity, intel.pckCa, MAKERS.intel.tcbSigning)]]))).toEqual(
      [],
    );
    expect(added(new Map([['rim/x', rim('driver', FORGERS)]]))).toEqual([]);
  });

  test('have the chain up to their root', () => {
    const issuers = crlIssuers(ROOTS, piecesOf(new Map([['a.pem', pem(identity, provisioner)]])));
    const chain = chainUp(parseCertificate(provisioner.certificate), issuers);
    expect(chain.map(({ der }) => der)).toEqual([provisioner, identity, root].map(({ certificate }) => certificate));
  });

  test('are who a CRL is verified with', () => {
    const files = new Map([
      ['root.crl', crl(root)],
      ['manifests.crl', crl(MAKERS.nvidiaRims.root)],
      ['ca.crl', crl(provisioner)],
      ['forged.crl', crl(FORGERS.nvidiaDevices.root)],
    ]);
    const faults = (all: Files) =>
      [...standings(all)].flatMap(([file, { fault }]) => (fault === undefined ? [] : [file]));
    expect(faults(files)).toEqual(['ca.crl', 'forged.crl']);
    expect(faults(new Map(files).set('gpu.pem', pem(provisioner, identity)))).toEqual(['forged.crl']);
  });

  const VECTORS = '../shared/vectors/gpu/';
  (existsSync(VECTORS) ? test : test.skip)('are those of genuine devices and manifests', () => {
    const chain = (file: string) => readFileSync(`${VECTORS}nvat/testdata/${file}`);
    const found = added(
      new Map([
        ['hopper.pem', chain('hopperCertChain.txt')],
        ['rim/driver', chain('NV_GPU_DRIVER_GH100_550.144.03.xml')],
      ]),
      PINNED_ROOTS,
    );
    expect(found.toSorted()).toEqual([
      'GH100 A01 GSP BROM',
      'NVIDIA GH100 Identity',
      'NVIDIA GH100 Provisioner ICA 1',
      'NVIDIA Reference Value GH100 CA',
      'NVIDIA Reference Value L3 GH100 002',
    ]);
  });
});
