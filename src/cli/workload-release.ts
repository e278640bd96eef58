import { parseAk } from '../evidence/tpm/ak.js';
import type { AkScheme } from '../simulator/ak.js';
import type { Attester, PlatformAttester } from '../workload/attester.js';
import { Tpm2ToolsAttester } from '../workload/attesters/tpm2-tools.js';
import type { Enrolment } from '../workload/enrol.js';
import { AttesterError } from '../workload/errors.js';
import type { LogOptions } from '../workload/log-trust.js';
import type { RecipientKind } from '../workload/recipient.js';
import { ReleaseClient } from '../workload/release-client.js';
import type { ReleasedKey } from '../workload/released-key.js';
import { httpTransport, type Transport } from '../workload/transport.js';
import type { BrokerAddress } from './broker-client.js';
import { attesterFor, platformAttesterFor, refusing, type AttesterWish, type Done } from './workload-attester.js';

/** What is to be drawn, and what attests. */
export interface ReleaseWish extends Omit<AttesterWish, 'tpm'> {
  /** false: a simulated machine without a TPM, which is a confidential VM. */
  readonly tpm: AttesterWish['tpm'] | false;
  readonly deployment: string;
  readonly key: string;
  readonly version?: string;
  readonly recipient: RecipientKind;
  readonly log?: LogOptions;
  /** Whether an AK that nothing vouches for is enrolled by its EK. */
  readonly enrol: boolean;
}

/** A key, what attested, and its enrolment where that was needed. */
export type Drawn = ReleasedKey & { readonly attester: string; readonly enrolment: Enrolment | undefined };

/** Draws a key: challenge, quote, release, receipt, decrypt. The caller wipes `jwk`. Throws UnreachableError. */
export async function drawKey(address: BrokerAddress, wish: ReleaseWish): Promise<Done<Drawn>> {
  const { deployment, key, version, recipient, ek } = wish;
  return refusing(async () => {
    const transport = httpTransport({ ...address, url: address.url.href });
    try {
      const attester = await attesterOf(wish, transport);
      let enrolment: Enrolment | undefined;
      const onEnrolled = (made: Enrolment): void => {
        enrolment = made;
      };
      const enrol = wish.enrol ? { onEnrolled, ...(ek === undefined ? {} : { ek }) } : false;
      const client = new ReleaseClient({ attester, transport, enrol, ...wish.log });
      const released = await client.release({
        deployment,
        key,
        recipient,
        ...(version === undefined ? {} : { version }),
      });
      return { ...released, attester: attester.describe(), enrolment };
    } finally {
      await transport.close();
    }
  });
}

async function attesterOf(wish: ReleaseWish, transport: Transport): Promise<Attester | PlatformAttester> {
  const { tpm, deployment, hardware = { gpus: 0 } } = wish;
  if (tpm === false) return platformAttesterFor(hardware, deployment, transport);
  return (await attesterFor({ ...wish, tpm }, deployment, transport)).attester;
}

/** The AK at the handle of a TPM, made where there is none. */
export async function readAk(
  tcti: string,
  options: { readonly akHandle?: number; readonly scheme?: AkScheme },
): Promise<Done<{ tpm2bPublic: Buffer; created: boolean; name: string; spkiSha256: string }>> {
  return refusing(async () => {
    const made = await new Tpm2ToolsAttester({ tcti, ...options }).ensureAk();
    const ak = parseAk(made.tpm2bPublic);
    if (!ak.ok) throw new AttesterError(`the key at the handle is no AK: ${ak.detail}`);
    return { ...made, name: ak.value.name, spkiSha256: ak.value.spkiSha256 };
  });
}
