import { createHash } from 'node:crypto';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { canonicalXml } from '../../../src/endorsement/rim/c14n.js';
import { verifyRim, type VerifiedRim } from '../../../src/endorsement/rim/verify.js';
import { MAX_RIM_BYTES, parseXml, type XmlElement } from '../../../src/endorsement/rim/xml.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { issueRim, type SimulatedRim } from '../../../src/simulator/rim.js';
import type { FuzzTarget } from '../target.js';

const makers = simulatedMakers(Buffer.alloc(32, 5));
const trust: HardwareTrust = {
  roots: withSimulator(makerRoots(makers)),
  collateral: NO_COLLATERAL,
  paths: new KnownPaths(8),
  atMs: Date.UTC(2026, 10, 21),
  requireCrls: false,
};
const hash = (text: string): Buffer => createHash('sha384').update(text).digest();
const drafts: readonly SimulatedRim[] = [
  {
    kind: 'driver',
    version: '550.144.03',
    meta: { product: 'GH100' },
    measurements: new Map([[7, [hash('a'), hash('b')]]]),
  },
  {
    kind: 'switch',
    version: '96.10.55.00.01',
    meta: { product: 'LS10' },
    measurements: new Map([[1, [hash('c')]]]),
  },
];
const manifests = drafts.map((draft) => issueRim(makers.nvidiaRims, draft));
const documents = [
  '<?xml version="1.0"?><a xmlns="urn:a" xmlns:p="urn:p" p:x="&lt;&#10;" y=\'"\'>t&amp;<!-- --></a>',
  '<a xmlns="urn:a"><!-- c --><b xmlns=""><c xmlns="urn:a" xmlns:p="urn:p"/><p:d xmlns:p="urn:q" p:e="1" e="2"/></b>\r\n</a>',
  '<a><b>&#x1F600;]]</b> <b x="\t1">\u00e9</b></a>',
].map((text) => Buffer.from(text));

/** Everything that a manifest says, as text. */
const said = ({ measurements, ...others }: VerifiedRim): string =>
  JSON.stringify({
    ...others,
    // Of the bytes, which may be others.
    sha256: undefined,
    measurements: [...measurements].map(([index, { active, sizeBytes, alternatives }]) => [
      index,
      active,
      sizeBytes,
      alternatives.map((one) => one.toString('hex')),
    ]),
  });

function verified(bytes: Buffer): string | undefined {
  const result = verifyRim(bytes, trust);
  return result.ok ? said(result.value) : undefined;
}

/** A mutation may be other XML that means the same; what it says must be what somebody signed. */
const genuine = new Set(manifests.map(verified));
if (genuine.has(undefined)) throw new Error('a seed is refused');

function parsed(input: Buffer): XmlElement | undefined {
  try {
    return parseXml(input);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'endorsement/rim/xml',
    seeds: [...documents, ...manifests],
    run: (input) => {
      const root = parsed(input);
      if (root === undefined) return;
      const once = canonicalXml(root);
      // It may be longer than what it stands for, and so over the limit of the parser.
      const again = parsed(once);
      if (again === undefined && once.length <= MAX_RIM_BYTES) throw new Error('a canonical form does not parse');
      if (again !== undefined && !canonicalXml(again).equals(once)) throw new Error('a canonical form has another one');
    },
  },
  {
    name: 'endorsement/rim/verify',
    seeds: manifests,
    run: (input) => {
      const says = verified(input);
      if (says !== undefined && !genuine.has(says)) throw new Error('a manifest is believed that nobody signed');
    },
  },
];
