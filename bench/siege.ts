/**
 * Holds connections to a broker that do nothing, and connections that send the body of a release request a byte at a time,
 * and opens a new one for each that the broker closes. A process of its own, started by overload.ts, so that what it costs
 * is not the generator's. Arguments: port, idle, slow. Says `{"held":n}` once all are held, and at the end, when its stdin
 * closes, what the broker did about them.
 */
import { connect, type Socket } from 'node:net';

const [port = 0, idle = 0, slow = 0] = process.argv.slice(2).map(Number);
/** Other addresses than that of the well-behaved clients, as an attacker has: all of 127.0.0.0/8 is this machine. */
const IDLE_ADDRESS = '127.0.0.2';
const SLOW_ADDRESS = '127.0.0.3';
/** Connections opened in one turn, a hundred turns a second: as fast as a broker can accept them, and no faster. */
const PER_TURN = 20;
const TURN_MS = 10;
const SLOW_BYTE_MS = 1000;
const SLOW_HEAD =
  'POST /v1/releases HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{"nonce":"';

const idlers = new Set<Socket>();
const writers = new Set<Socket>();
const seen = { opened: 0, closedByBroker: 0, refused: 0 };
let announced = false;

function open(set: Set<Socket>, localAddress: string, head: string): void {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let established = false;
  set.add(socket);
  socket.once('connect', () => {
    established = true;
    seen.opened++;
    if (head !== '') socket.write(head);
  });
  socket.on('error', () => undefined);
  socket.on('data', () => undefined);
  socket.once('close', () => {
    set.delete(socket);
    if (established) seen.closedByBroker++;
    else seen.refused++;
  });
}

const refill = setInterval(() => {
  for (let i = 0; i < PER_TURN; i++) {
    if (writers.size < slow) open(writers, SLOW_ADDRESS, SLOW_HEAD);
    else if (idlers.size < idle) open(idlers, IDLE_ADDRESS, '');
    else break;
  }
  const held = seen.opened - seen.closedByBroker;
  if (!announced && held >= idle + slow) {
    announced = true;
    console.log(JSON.stringify({ held }));
  }
}, TURN_MS);
const trickle = setInterval(() => {
  for (const socket of writers) socket.write('A');
}, SLOW_BYTE_MS);

process.stdin.resume();
process.stdin.once('end', () => {
  clearInterval(refill);
  clearInterval(trickle);
  console.log(JSON.stringify(seen));
  process.exit(0);
});
