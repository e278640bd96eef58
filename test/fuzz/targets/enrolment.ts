import { randomBytes } from 'node:crypto';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { encodeEnrolment, openEnrolment, parseEnrolment, sealEnrolment } from '../../../src/release/enrolment-token.js';
import type { FuzzTarget } from '../target.js';

const key = randomBytes(32);
const issuer = { broker: 'b', enrolmentKey: () => key };
const enrolment = {
  issuedAtMs: 1_800_000_000_000,
  epoch: 1,
  deployment: 'llm',
  ekSpkiSha256: 'ab'.repeat(32),
  akPublic: Buffer.alloc(90, 1),
  ekCertificates: [Buffer.alloc(700, 2), Buffer.alloc(600, 3)],
  random: Buffer.alloc(16, 4),
};
const { token } = sealEnrolment(issuer, enrolment);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'enrolment/body',
    seeds: [encodeEnrolment(enrolment), encodeEnrolment({ ...enrolment, ekCertificates: [Buffer.alloc(0)] })],
    run: (input) => {
      try {
        const parsed = parseEnrolment(input);
        if (!encodeEnrolment(parsed).equals(input)) throw new Error('has a second encoding');
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
  {
    name: 'enrolment/token',
    seeds: [Buffer.from(token)],
    run: (input) => {
      const text = input.toString('latin1');
      if (openEnrolment(issuer, text).ok && text !== token) throw new Error('accepts a token that was not issued');
    },
  },
];
