import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { NO_COLLATERAL, type Collateral, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { SAFE_TDX_RULES, type TdxRules } from '../../../src/evidence/tdx/evidence.js';
import { verifyTdx } from '../../../src/evidence/tdx/verify.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { SimulatedTd, type QuoteChanges, type SimulatedTdOptions } from '../../../src/simulator/tdx.js';
import { simulatedIntelCollateral, type IntelCollateralOverrides } from '../../../src/simulator/tdx-collateral.js';

/** Simulated Intel hardware and what is believed of it, at one moment. */
export const NOW = Date.UTC(2026, 10, 21);
export const makers = simulatedMakers(Buffer.alloc(32, 1));
export const roots = withSimulator(makerRoots(makers));
export const REPORT_DATA = Buffer.alloc(64, 0xab);
export const SEED = Buffer.alloc(32, 2);

export function td(options: Partial<SimulatedTdOptions> = {}): SimulatedTd {
  return new SimulatedTd(makers.intel, { seed: SEED, ...options });
}

export function quoteOf(options: Partial<SimulatedTdOptions> = {}, changes: QuoteChanges = {}): Buffer {
  return td(options).quote(REPORT_DATA, changes);
}

export function collateral(overrides: IntelCollateralOverrides = {}, nowMs = NOW): Collateral {
  const { tcbInfos, qeIdentities, crls } = simulatedIntelCollateral(makers.intel, nowMs, overrides);
  return { ...NO_COLLATERAL, tcbInfos, qeIdentities, crls: crls.map(parseCrl) };
}

export const GOOD_COLLATERAL = collateral();

export function trust(changes: Partial<HardwareTrust> = {}): HardwareTrust {
  return { roots, collateral: GOOD_COLLATERAL, paths: new KnownPaths(64), atMs: NOW, requireCrls: false, ...changes };
}

/** `accepted`, or the reason and its detail. */
export function verdict(quote: Buffer, changes: Partial<HardwareTrust> = {}, rules: Partial<TdxRules> = {}): string {
  const result = verifyTdx({ quote }, trust(changes), { ...SAFE_TDX_RULES, ...rules });
  return result.ok ? 'accepted' : `${result.reason}: ${result.detail}`;
}

/** The quote with one byte made another one. */
export function flipped(quote: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(quote);
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}
