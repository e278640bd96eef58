import type { Socket } from 'node:net';

const watched = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `gone` when the socket, which is open now, has closed; forgets about it when the function that comes back is called. One listener a
 * socket, however many ask. (A response that waits behind another one on its connection never says that it was closed.)
 */
export function whenGone(socket: Socket, gone: () => void): () => void {
  let waiting = watched.get(socket);
  if (waiting === undefined) {
    const all = new Set<() => void>();
    watched.set(socket, all);
    socket.once('close', () => {
      for (const each of all) each();
    });
    waiting = all;
  }
  const here = waiting.add(gone);
  return () => void here.delete(gone);
}
