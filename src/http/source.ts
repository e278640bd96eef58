import type { Socket } from 'node:net';

const known = new WeakMap<Socket, string>();

/**
 * Whom a connection counts for where clients share what there is: its remote address, and for IPv6 the /64 that it lies in,
 * which one subscriber has to itself. Behind a proxy that is the proxy: headers that name another client are not believed.
 */
export function sourceOf(socket: Socket): string {
  let source = known.get(socket);
  if (source === undefined) {
    source = sourceOfAddress(socket.remoteAddress);
    known.set(socket, source);
  }
  return source;
}

/** The source of an address as Node writes it; `unknown` for a connection that is gone already. */
export function sourceOfAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const behind = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + behind < 8) groups.push('0');
    groups.push(...tail.split(':'));
  }
  const network = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
