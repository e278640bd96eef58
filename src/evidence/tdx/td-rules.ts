import { accept, reject, type Result } from '../../reason/reason.js';
import { TD_ATTRIBUTES } from './constants.js';
import type { TdxRules } from './evidence.js';
import type { TdReportBody } from './quote.js';

const KNOWN = TD_ATTRIBUTES.reduce((mask, { bit }) => mask | (1n << BigInt(bit)), 0n);
/** Bits 7:0: while one is set, the trust domain is not protected from its host. */
const UNTRUSTED = 0xffn;
const DEBUG = 1n;

/** The names of the attributes that are set, those that are known. */
export function attributesOf({ tdAttributes }: TdReportBody): ReadonlySet<string> {
  const bits = tdAttributes.readBigUInt64LE();
  const isSet = (bit: number) => ((bits >> BigInt(bit)) & 1n) === 1n;
  return new Set(TD_ATTRIBUTES.filter(({ bit }) => isSet(bit)).map(({ name }) => name));
}

/** Bits that are set and have no meaning here, as a number. */
export function unknownAttributes({ tdAttributes }: TdReportBody): bigint {
  return tdAttributes.readBigUInt64LE() & ~KNOWN;
}

/**
 * Judges what a trust domain says of itself, by the rules and as the safe defaults want it. Refusals: tdx.debug; tdx.attributes for
 * another of the bits 7:0, or one that is not known; tdx.service_td for a service TD, and for a trust domain that may be migrated by
 * one while its report, of TDX 1.0, cannot show it.
 */
export function judgeTrustDomain(body: TdReportBody, rules: TdxRules): Result<undefined> {
  const attributes = body.tdAttributes.readBigUInt64LE();
  if ((attributes & DEBUG) !== 0n && !rules.debug) {
    return reject('tdx.debug', 'the host may read and change all of the trust domain', {
      claim: 'tdx.attributes.debug',
      operator: 'equals',
      expected: false,
      found: true,
    });
  }
  const untrusted = (attributes & UNTRUSTED & ~DEBUG) | (attributes & ~KNOWN);
  if (untrusted !== 0n) {
    return reject(
      'tdx.attributes',
      `attributes 0x${untrusted.toString(16)}: profiled by its host, or of unknown meaning`,
    );
  }
  if (rules.serviceTd) return accept(undefined);
  if (body.mrServiceTd === undefined) {
    if (!attributesOf(body).has('migratable')) return accept(undefined);
    return reject(
      'tdx.service_td',
      'the trust domain may be migrated, and its report does not show by which service TD',
    );
  }
  if (body.mrServiceTd.every((byte) => byte === 0)) return accept(undefined);
  return reject('tdx.service_td', 'MRSERVICETD is not zero', {
    claim: 'tdx.mrservicetd',
    operator: 'equals',
    expected: '00'.repeat(body.mrServiceTd.length),
    found: body.mrServiceTd.toString('hex'),
  });
}
