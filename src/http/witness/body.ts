import { ClientGoneError, expectsContinue, readOff } from '../body.js';
import type { Exchange } from '../exchange.js';

/** The body of a request; undefined where it is larger than `maxBytes`, by what is declared or by count. Throws ClientGoneError. */
export function readBody({ request, response }: Exchange, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.resolve(undefined);
  if (expectsContinue(request)) response.writeContinue();
  return new Promise((resolve, fail) => {
    const chunks: Buffer[] = [];
    let total = 0;
    const settle = (): void =>
      void request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
    const onData = (chunk: Buffer): void => {
      total += chunk.length;
      chunks.push(chunk);
      if (total <= maxBytes) return;
      settle();
      readOff(request, total);
      resolve(undefined);
    };
    const onEnd = (): void => {
      settle();
      resolve(Buffer.concat(chunks, total));
    };
    const onGone = (): void => {
      settle();
      fail(new ClientGoneError('the client went away'));
    };
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}
