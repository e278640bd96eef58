// A proxy for trying out several replicas: node proxy.js HOST:PORT URL...
// Takes turns among the brokers whose /readyz says 200, and passes bytes on; in earnest, use the load balancer that you have.
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const [listen, ...brokers] = process.argv.slice(2);
const split = listen.lastIndexOf(':');
let ready = [];
let turn = 0;

function isReady(url) {
  return new Promise((resolve) => {
    const request = get(`${url}/readyz`, { timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

async function look() {
  for (;;) {
    const answers = await Promise.all(brokers.map(isReady));
    ready = brokers.filter((_, at) => answers[at]);
    await pause(250);
  }
}

const server = createServer((client) => {
  const url = ready[turn++ % ready.length];
  if (url === undefined) {
    client.destroy();
    return;
  }
  const { hostname, port } = new URL(url);
  const broker = connect(Number(port), hostname);
  for (const [from, to] of [
    [client, broker],
    [broker, client],
  ]) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
});
server.listen(Number(listen.slice(split + 1)), listen.slice(0, split), () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
void look();
