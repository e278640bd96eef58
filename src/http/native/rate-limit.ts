import type { Request, Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** True where the request may pass. */
export type RateLimit = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * Lets `perSecond` requests pass in each second, over all callers of this process; where that is no whole number, the next
 * one in a window as much longer than a second (2.5 are three in 1.2 s). Several processes each count for themselves, so each
 * is given its part. Sets the RateLimit headers (IETF draft 7).
 */
export function limitPerSecond(perSecond: number): RateLimit {
  const passed = new WeakSet<IncomingMessage>();
  const limit = Math.ceil(perSecond);
  const limiter = rateLimit({
    windowMs: Math.ceil((1000 * limit) / perSecond),
    limit,
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
