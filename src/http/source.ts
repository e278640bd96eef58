import type { Socket } from 'node:net';

const known = new WeakMap<Socket, string>();

/**
 * Whom a connection counts for where clients share what there is: its remote address, and for IPv6 the /64 that it lies in,
 * which one subscriber has to itself; for IPv4 clients that a translator speaks IPv6 for, their IPv4 address. Behind a proxy
 * that is the proxy: headers that name another client are not believed.
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
  const groups = groupsOf(address);
  if (IPV4_INSIDE.some((prefix) => prefix.every((group, at) => groups[at] === group))) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join('.');
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

const NO_NETWORKS: readonly string[] = [];

/**
 * The networks that a source lies in and that one holder may have whole, as large and as small as they are usually given
 * out: for IPv6 the /56 and the /48. An IPv4 address lies in none.
 */
export function networksOf(source: string): readonly string[] {
  if (!source.endsWith('::/64')) return NO_NETWORKS;
  const [first = '', second = '', third = '', fourth = ''] = source.slice(0, -'::/64'.length).split(':');
  const site = `${first}:${second}:${third}`;
  return [`${site}:${(parseInt(fourth, 16) & 0xff00).toString(16)}::/56`, `${site}::/48`];
}

/** IPv4-mapped addresses (RFC 4291 section 2.5.5.2), and those of NAT64 with the well-known prefix (RFC 6052 section 2.1). */
const IPV4_INSIDE: readonly (readonly number[])[] = [
  [0, 0, 0, 0, 0, 0xffff],
  [0x64, 0xff9b, 0, 0, 0, 0],
];

/** The eight groups of an IPv6 address, in any of its spellings. */
function groupsOf(address: string): readonly number[] {
  const [head = [], tail = []] = (address.split('%')[0] ?? '').split('::').map(parseGroups);
  return [...head, ...Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail];
}

/** Groups in hexadecimal, the last two perhaps as an IPv4 address. */
function parseGroups(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    const bytes = group.split('.').map(Number);
    const [a = 0, b = 0, c = 0, d = 0] = bytes;
    return bytes.length === 4 ? [a * 256 + b, c * 256 + d] : [parseInt(group, 16)];
  });
}
