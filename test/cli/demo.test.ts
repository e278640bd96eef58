import { describe, expect, test } from '@jest/globals';
import { portcullis } from '../helpers/portcullis.js';

describe('the demo with a confidential VM', () => {
  test('releases the key to the right machine alone, names every reason, and leaves with 0', async () => {
    const { code, stdout, stderr } = await portcullis(['demo', '--machine', 'cvm', '--json']);
    expect({ code, stdout: JSON.parse(stdout) as unknown }).toEqual({
      code: 0,
      stdout: { ok: true, tpm: 'simulator', machine: 'cvm' },
    });
    expect(stderr).not.toContain('✘');
    const reasons = [...stderr.matchAll(/✔ refused: [^\n]*\n\s+([a-z_.]+): /g)].map(([, reason]) => reason);
    expect(reasons).toEqual([
      'receipt.proof',
      'gpu.count',
      'gpu.duplicate',
      'gpu.nonce',
      'gpu.measurement',
      'gpu.debug',
      'snp.debug',
      'policy.claims',
      'evidence.unbound',
    ]);
  }, 60_000);

  test('has a simulated TPM only', async () => {
    expect(await portcullis(['demo', '--machine', 'cvm', '--tpm', 'swtpm'])).toMatchObject({ code: 2, stdout: '' });
  });
});
