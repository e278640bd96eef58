import { expect, test } from '@jest/globals';
import { createLog } from '../../src/telemetry/log.js';
import { createTelemetry } from '../../src/telemetry/metrics.js';
import { reject } from '../../src/reason/reason.js';
import { fakeBroker, releaseRequest, TOKENS } from './fake-broker.js';
import { ask, raw, start } from './harness.js';

const CANARIES = {
  token: 'pc_0123456789abcdef_CANARYtokenCANARYtokenCANARYtoken',
  material: 'CANARYmaterialCANARY',
  path: 'CANARY-path',
  query: 'CANARYquery',
  header: 'CANARYheader',
  error: 'CANARYerror',
  jwe: 'eyJDQU5BUlkiOiJDQU5BUlkifQ.CANARYkey.CANARYiv.CANARYtext.CANARYtag',
};

test('nothing that a caller sends, and no secret that a fault carries, gets into logs, metrics or problem documents', async () => {
  let written = '';
  const log = createLog({ stream: { write: (line: string) => void (written += line) } });
  const telemetry = createTelemetry({ processMetrics: false });
  const fault = Object.assign(new Error(`cannot open ${CANARIES.token}`), {
    jwk: { k: CANARIES.material },
    cause: new Error(`{"kty":"oct","k":"${CANARIES.material}"} ${CANARIES.jwe}`),
  });
  const broker = fakeBroker({
    createKey: async () => {
      throw fault;
    },
    release: async () => reject('quote.signature', 'the signature does not verify'),
  });
  const one = await start({ broker, native: { log, metrics: telemetry }, listen: { log } });
  const bearer = { authorization: `Bearer ${CANARIES.token}` };
  const answers: string[] = [];
  try {
    const send = async (...given: Parameters<typeof ask>) => answers.push((await ask(...given)).text);
    await send(`${one.url}/v1/keys/${CANARIES.path}?version=${CANARIES.query}`, { headers: bearer });
    await send(`${one.url}/${CANARIES.path}?${CANARIES.query}=${CANARIES.query}`, {
      headers: { ...bearer, 'x-request-id': `${CANARIES.header} !` },
    });
    await send(`${one.url}/v1/keys`, {
      method: 'POST',
      token: TOKENS.operator,
      body: { name: 'a', deployments: [], material: { format: 'raw', data: CANARIES.material } },
    });
    await send(`${one.url}/v1/keys`, { method: 'POST', token: TOKENS.operator, body: `{"${CANARIES.material}` });
    await send(`${one.url}/v1/keys`, {
      method: 'POST',
      token: TOKENS.operator,
      body: { [`${CANARIES.material} `]: 1 },
    });
    await send(`${one.url}/v1/releases`, { method: 'POST', body: { ...releaseRequest, key: CANARIES.path } });
    await send(`${one.url}/v1/releases`, {
      method: 'POST',
      body: { ...releaseRequest, recipient: { d: CANARIES.material } },
    });
    answers.push(await raw(one.port, `${CANARIES.header} / HTTP/1.1\r\n\r\n`));
    answers.push(
      await raw(one.port, `GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${CANARIES.header}: \x01\r\n\r\n`),
    );
    answers.push((await ask(`${one.url}/metrics`)).text);
  } finally {
    await one.stop();
  }
  expect(written.match(/\n/g)?.length).toBeGreaterThan(9);
  expect(written).toContain('cannot open pc_0123456789abcdef_[redacted]');
  expect(written).not.toMatch(/CANARY|DQU5BUlk/);
  expect(answers.join('\n')).not.toMatch(/CANARY|DQU5BUlk/);
});
