import { randomBytes } from 'node:crypto';
import { canonicalJson, type Json } from '../../../src/bytes/canonical-json.js';
import { parseJson } from '../../../src/bytes/json.js';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { checkNonce, mintNonce } from '../../../src/challenge/nonce.js';
import type { FuzzTarget } from '../target.js';

const nonceKey = { key: randomBytes(32), epoch: 1 };
const scope = { broker: 'b', deployment: 'd', key: 'k', version: 'latest' };
const nowMs = 1_800_000_000_000;
const nonce = mintNonce(nonceKey, scope, nowMs, Buffer.alloc(10, 5));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'bytes/json',
    seeds: [
      '{"a":[1,{"b":"c\\u0041\\"","d":null}],"e":-1.5e3}',
      '[[[[]]],"x\\\\",{}]',
      '{"aa":{"a":{"a":true}},"b":"\\ud83d\\ude00"}',
    ].map((text) => Buffer.from(text)),
    run: (input) => {
      let value: unknown;
      try {
        value = parseJson(input);
      } catch (error) {
        if (error instanceof MalformedError) return;
        throw error;
      }
      if (JSON.stringify(value) !== JSON.stringify(JSON.parse(input.toString('utf8'))))
        throw new Error('reads another value');
      try {
        canonicalJson(value as Json);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
  {
    name: 'challenge/nonce',
    seeds: [Buffer.from(nonce)],
    run: (input) => {
      const text = input.toString('latin1');
      const checked = checkNonce(nonceKey, scope, text, { nowMs, ttlMs: 1000, floorMs: 0 });
      if (checked.ok && text !== nonce) throw new Error('accepts a nonce that was not issued');
    },
  },
];
