import { verify } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { loadTpm, saveTpm } from '../../src/simulator/state.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';

const tpm = new SimulatedTpm();
const ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
await tpm.createAk({ scheme: 'rsapss' });
tpm.event(8, Buffer.from('policy'));
tpm.setClockInfo({ clock: 1_234_567_890_123n, resetCount: 7, restartCount: 2, safe: false });
const saved = saveTpm(tpm);

test('a saved TPM comes back with its PCRs, its clock and its keys', async () => {
  const loaded = await loadTpm(saved);
  expect(saveTpm(loaded)).toBe(saved);
  expect(loaded.pcr('sha384', 8)).toEqual(tpm.pcr('sha384', 8));
  expect(loaded.pcr('sha1', 17)).toEqual(Buffer.alloc(20, 0xff));
  expect(loaded.clockInfo).toEqual(tpm.clockInfo);
  expect(loaded.aks.map(({ scheme, name }) => ({ scheme, name }))).toEqual(
    tpm.aks.map(({ scheme, name }) => ({ scheme, name })),
  );
  const { quoted, signature } = loaded.quote(loaded.aks[0]!, Buffer.alloc(32), [{ bank: 'sha256', pcrs: [8] }]);
  const key = { key: ak.spki, format: 'der', type: 'spki', dsaEncoding: 'ieee-p1363' } as const;
  expect(verify('sha256', quoted, key, Buffer.concat([signature.subarray(6, 38), signature.subarray(40)]))).toBe(true);
});

interface State {
  format: string;
  clock: Record<string, unknown>;
  pcrs: Record<string, unknown[]>;
  aks: unknown[];
}
const changes: readonly [string, (state: State) => unknown][] = [
  ['another format', (state) => (state.format = 'portcullis-simulated-tpm/2')],
  ['a bank short of a PCR', (state) => state.pcrs['sha256']?.pop()],
  ['a bank with a PCR too many', (state) => state.pcrs['sha256']?.push('00'.repeat(32))],
  ['a bank missing', (state) => delete state.pcrs['sha1']],
  ['a PCR value of the wrong length', (state) => (state.pcrs['sha256']![3] = '00'.repeat(48))],
  ['a PCR value that is no text', (state) => (state.pcrs['sha256']![3] = 5)],
  ['a clock that is no number', (state) => (state.clock['clock'] = '1e3')],
  ['a resetCount over 32 bits', (state) => (state.clock['resetCount'] = 2 ** 32)],
  ['a negative restartCount', (state) => (state.clock['restartCount'] = -1)],
  ['safe that is no boolean', (state) => (state.clock['safe'] = 1)],
  ['an AK of an unknown scheme', (state) => state.aks.push({ scheme: 'rsa', pkcs8: 'AA' })],
  ['an AK without a key', (state) => state.aks.push({ scheme: 'rsassa', pkcs8: 'AAAA' })],
  ['AKs that are no list', (state) => ((state as { aks: unknown }).aks = {})],
  ['65 AKs', (state) => (state.aks = Array.from({ length: 65 }, () => state.aks[0]))],
];

test.each(changes)('%s is refused', async (_what, change) => {
  const state = JSON.parse(saved) as State;
  change(state);
  await expect(loadTpm(JSON.stringify(state))).rejects.toThrow(MalformedError);
});

test('no text makes loading throw anything but MalformedError', async () => {
  for (const text of ['', '[]', 'null', '{}', saved.slice(0, -1), `${saved}x`]) {
    await expect(loadTpm(text)).rejects.toThrow(MalformedError);
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      await expect(loadTpm(text)).rejects.toThrow(MalformedError);
    }),
    { numRuns: 100 },
  );
});
