import { parseCertificate } from '../crypto/x509.js';
import { tpmIdentity, type TpmIdentity } from '../endorsement/tpm-identity.js';
import type { EkAlgorithm } from '../simulator/ek.js';
import { certifiedKey } from '../workload/attesters/ek-certificate.js';
import { SimulatorAttester } from '../workload/attesters/simulator.js';
import { enrol, type Enrolment } from '../workload/enrol.js';
import { AttesterError } from '../workload/errors.js';
import { httpTransport } from '../workload/transport.js';
import type { BrokerAddress } from './broker-client.js';
import { attesterFor, refusing, type AttesterWish, type Done } from './workload-attester.js';

/** What was enrolled, and what its TPM is by the word of its maker. */
export interface Enrolled extends Enrolment {
  readonly attester: string;
  readonly akCreated: boolean;
  readonly ekAlgorithm: EkAlgorithm;
  readonly identity: TpmIdentity | undefined;
}

/** Enrols the AK of a machine by the EK of its TPM. Throws UnreachableError. */
export async function enrolMachine(
  address: BrokerAddress,
  wish: AttesterWish & { readonly deployment: string },
): Promise<Done<Enrolled>> {
  const { deployment, ek } = wish;
  return refusing(async () => {
    const transport = httpTransport({ ...address, url: address.url.href });
    try {
      const { attester, akCreated } = await attesterFor(wish, deployment, transport);
      if (attester instanceof SimulatorAttester && attester.tpm.ekCertificates.size === 0) {
        throw new AttesterError(
          'the broker certifies no EK of a simulated TPM for this deployment: apply it with trust ek-certificate and ' +
            'simulator-ca.pem, of the data directory of the broker, among attesters.roots',
        );
      }
      const enrolment = await enrol({ transport, deployment, attester, ...(ek === undefined ? {} : { ek }) });
      const [leaf = Buffer.alloc(0)] = enrolment.ekCertificates;
      return {
        ...enrolment,
        attester: attester.describe(),
        akCreated,
        ekAlgorithm: certifiedKey(leaf).algorithm,
        identity: tpmIdentity(parseCertificate(leaf)),
      };
    } finally {
      await transport.close();
    }
  });
}
