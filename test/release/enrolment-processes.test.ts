import { expect, test } from '@jest/globals';
import { LeanBroker } from '../helpers/lean-broker.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { TestBroker, valueOf } from '../helpers/test-broker.js';

test('an enrolment that one process gave, and was killed, is activated by another, and again by a third', async () => {
  const maker = new TpmMaker();
  const broker = await TestBroker.start();
  const started: LeanBroker[] = [];
  try {
    await broker.deploy('llm', { attesters: { trust: ['ek-certificate'], roots: [maker.rootPem] } });
    const machine = await CertifiedMachine.make(maker, 'rsa2048');
    const process = async () => {
      const lean = new LeanBroker(broker.dataDir);
      started.push(lean);
      await lean.ready();
      return lean;
    };
    const first = await process();
    const proof = await machine.prove(first.broker, 'llm');
    await first.kill();
    const second = await process();
    const activated = valueOf(await second.broker.activateEnrolment(proof));
    await second.kill();
    const third = await process();
    expect(valueOf(await third.broker.activateEnrolment(proof))).toEqual({ ...activated, created: false });
    expect(activated.created).toBe(true);
  } finally {
    for (const process of started) await process.kill();
    await broker.close();
  }
});
