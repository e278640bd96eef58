import type { Request, Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** True where the request may pass. */
export type RateLimit = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * Lets `perSecond` requests pass in each second, over all callers of this process; several processes each count for
 * themselves. Sets the RateLimit headers (IETF draft 7).
 */
export function limitPerSecond(perSecond: number): RateLimit {
  const passed = new WeakSet<IncomingMessage>();
  const limiter = rateLimit({
    windowMs: 1000,
    limit: perSecond,
    keyGenerator: () => 'broker',
    // Draft 8 is written with methods of Express, which the plain response has not.
    standardHeaders: 'draft-7',
    legacyHeaders: false,
    // The key is a constant: what these checks warn of (addresses, proxies) does not arise.
    validate: false,
    handler: () => undefined,
  });
  return (request, response) =>
    new Promise((resolve, fail) => {
      const next = (error?: unknown): void => {
        if (error === undefined) passed.add(request);
        else fail(error instanceof Error ? error : new Error('rate limiter failed', { cause: error }));
      };
      // It reads no more of Express than the plain request and response have, given the options above.
      void Promise.resolve(limiter(request as Request, response as Response, next)).then(
        () => resolve(passed.has(request)),
        fail,
      );
    });
}
