import { isRevocable, type RevocableIdentity } from '../../endorsement/identity.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { AttestedDevice } from './verify.js';

/** A device by its kind and its ueid, which is the serial number of its certificate in decimal. */
export type NamedDevice = Pick<AttestedDevice, 'kind' | 'ueid'>;

/**
 * Demands that tokens name no other devices than those that answered themselves, where any of their kind did. evidence.unbound: one
 * names another, so that a token about a device elsewhere would stand beside the evidence of this machine. Devices that answered and
 * that no token names are no fault; nor are those of tokens where none of their kind answered.
 */
export function checkSameDevices(named: readonly NamedDevice[], answered: readonly NamedDevice[]): Result<undefined> {
  const isStranger = ({ kind, ueid }: NamedDevice) => {
    const ofKind = answered.filter((device) => device.kind === kind);
    return ofKind.length > 0 && !ofKind.some((device) => device.ueid === ueid);
  };
  const stranger = named.find(isStranger);
  if (stranger === undefined) return accept(undefined);
  return reject(
    'evidence.unbound',
    `a token is about the ${stranger.kind} ${stranger.ueid}, which is none of evidence.gpus`,
  );
}

/** 20 bytes are the longest serial number that a certificate may have. */
const DECIMAL = /^[1-9][0-9]{0,48}$/;

/**
 * What a device is revoked by that is known by its ueid alone: `chip/<ueid, hex>`. undefined: its ueid is no number of 8 bytes or
 * more. The number fused into the device (PDI) is in no token, so that its revocation is not found by this.
 */
export function deviceIdentity({ ueid }: NamedDevice): RevocableIdentity | undefined {
  if (!DECIMAL.test(ueid)) return undefined;
  const hex = BigInt(ueid).toString(16);
  const identity = `chip/${hex.padStart(hex.length + (hex.length % 2), '0')}`;
  return isRevocable(identity) ? identity : undefined;
}
