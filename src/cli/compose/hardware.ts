import type { Collateral } from '../../endorsement/collateral.js';
import { PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import type { BrokerContext, SimulatorAuthority } from '../../release/context.js';

/** What hardware evidence is held against, beside the deployment and the time. */
export interface HardwareParts {
  readonly collateral: () => Collateral;
  readonly paths: BrokerContext['paths'];
  readonly requireCrls: boolean;
  /** Development profile only. */
  readonly simulator: SimulatorAuthority | undefined;
}

/**
 * The makers that are pinned, with the collateral of now; for a deployment that trusts simulators, those of the simulator too, which
 * only the development profile has.
 */
export function hardwareTrustOf({
  collateral,
  paths,
  requireCrls,
  simulator,
}: HardwareParts): BrokerContext['hardwareTrust'] {
  const joined = new Joined();
  return ({ attesters }, atMs) => {
    const simulated = attesters.trust.includes('simulator') ? simulator?.hardware : undefined;
    const own = collateral();
    return simulated === undefined
      ? { roots: PINNED_ROOTS, collateral: own, paths, atMs, requireCrls }
      : { roots: simulated.roots, collateral: joined.of(own, simulated.collateral), paths, atMs, requireCrls };
  };
}

/** The last two that were put together: the same object as long as both are the same, since it stands for its content. */
class Joined {
  #parts: readonly [Collateral, Collateral] | undefined;
  #whole: Collateral | undefined;

  of(one: Collateral, other: Collateral): Collateral {
    if (this.#whole !== undefined && this.#parts?.[0] === one && this.#parts[1] === other) return this.#whole;
    this.#parts = [one, other];
    this.#whole = {
      crls: [...one.crls, ...other.crls],
      tcbInfos: [...one.tcbInfos, ...other.tcbInfos],
      qeIdentities: [...one.qeIdentities, ...other.qeIdentities],
      rims: [...one.rims, ...other.rims],
    };
    return this.#whole;
  }
}
