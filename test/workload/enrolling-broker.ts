/**
 * A broker for tests of enrolment: answers its two calls as the interface says, with credentials that a TPM really has to
 * open, and checks no certificate. `lie` changes an answer before it goes out.
 */
import { randomBytes } from 'node:crypto';
import type { Transport, TransportAnswer } from '../../src/workload/transport.js';
import { makeCredential } from '../../src/evidence/tpm/credential.js';
import { parseAk } from '../../src/evidence/tpm/ak.js';
import { parseEk } from '../../src/evidence/tpm/ek.js';
import { createSimulatorCa, issueEkCertificate, type SimulatorCa } from '../../src/simulator/ca.js';
import type { EkAlgorithm } from '../../src/simulator/ek.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { answerOf } from './test-broker.js';

export const OFFER = '/v1/attesters/enrolments';
export const ACTIVATION = '/v1/attesters/enrolments/activations';

type Members = Record<string, unknown>;

export interface EnrolmentLies {
  readonly offer?: (answer: Members) => unknown;
  readonly activation?: (answer: { attester: Members }) => unknown;
  /** Instead of an answer. */
  readonly refuse?: { readonly path: string; readonly answer: TransportAnswer | Error };
  readonly state?: 'trusted' | 'pending';
}

export interface EnrollingBroker extends Transport {
  readonly offered: Members[];
  readonly activated: Members[];
  /** In hex, what the credentials hold. */
  readonly secrets: string[];
  closed: boolean;
}

export function enrollingBroker(lies: EnrolmentLies = {}): EnrollingBroker {
  const known = new Map<string, { secret: Buffer; attester: Members }>();
  const done = new Set<string>();
  const broker: EnrollingBroker = {
    offered: [],
    activated: [],
    secrets: [],
    closed: false,
    get: () => Promise.reject(new Error('nothing was to be fetched')),
    async post(path, body) {
      if (lies.refuse?.path === path) {
        if (lies.refuse.answer instanceof Error) throw lies.refuse.answer;
        return lies.refuse.answer;
      }
      const sent = body as Members;
      if (path === OFFER) {
        broker.offered.push(sent);
        const offer = offerFor(sent, lies.state ?? 'trusted');
        known.set(offer.answer.enrolment, offer);
        broker.secrets.push(offer.secret.toString('hex'));
        return answerOf(201, lies.offer?.(offer.answer) ?? offer.answer);
      }
      if (path === ACTIVATION) {
        broker.activated.push(sent);
        const offer = known.get(String(sent['enrolment']));
        if (offer === undefined || sent['secret'] !== offer.secret.toString('base64url')) {
          return answerOf(403, { reason: 'enrolment.secret', detail: 'the secret is not the one in its credential' });
        }
        const name = String(offer.attester['ak_name']);
        const answer = { attester: offer.attester };
        const status = done.has(name) ? 200 : 201;
        done.add(name);
        return answerOf(status, lies.activation?.(answer) ?? answer);
      }
      return answerOf(404, { reason: 'route.unknown', detail: 'no such route' });
    },
    close: () => {
      broker.closed = true;
      return Promise.resolve();
    },
  };
  return broker;
}

function offerFor(sent: Members, state: string) {
  const bytes = (member: string) => Buffer.from(String(sent[member]), 'base64url');
  const ak = parseAk(bytes('ak'));
  const ek = parseEk(bytes('ek'));
  if (!ak.ok || !ek.ok) throw new Error('no AK or no EK was sent');
  const secret = randomBytes(32);
  const akName = Buffer.from(ak.value.name, 'hex');
  const { credentialBlob, encryptedSecret } = makeCredential({ ek: ek.value, akName, credential: secret }, randomBytes);
  return {
    secret,
    attester: { ak_name: ak.value.name, ak_spki_sha256: ak.value.spkiSha256, trust: 'ek-certificate', state },
    answer: {
      enrolment: randomBytes(600).toString('base64url'),
      credential_blob: credentialBlob.toString('base64url'),
      encrypted_secret: encryptedSecret.toString('base64url'),
      expires_at: '2026-11-22T12:02:00.000Z',
    },
  };
}

let ca: Promise<SimulatorCa> | undefined;

/** A simulated machine whose EKs have certificates. */
export async function certifiedMachine(...algorithms: readonly EkAlgorithm[]): Promise<SimulatorAttester> {
  const tpm = new SimulatedTpm();
  const terms = { notBefore: new Date(0), notAfter: new Date('2049-01-01'), serial: Buffer.of(7) };
  for (const algorithm of algorithms) {
    const { spki } = await tpm.ek(algorithm);
    tpm.storeEkCertificate(algorithm, issueEkCertificate(await (ca ??= createSimulatorCa()), spki, terms));
  }
  return new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
}
