import { reject } from '../../reason/reason.js';
import type { Broker, Denial, Principal } from '../../release/broker.js';
import type { Admission, Refused } from '../admission.js';
import { type BodyLimits, ClientGoneError, hasBody, type HeldBody, parseBody, receiveBody } from '../body.js';
import type { Exchange } from '../exchange.js';
import { sourceOf } from '../source.js';
import { authenticate, checkClientCertificate } from './authenticate.js';
import { parsePath, parseQuery } from './parameters.js';
import type { RateLimit } from './rate-limit.js';
import type { Outcome, RateLimited, Route } from './route.js';
import { compile, type Validator } from './validate.js';

/** What every endpoint needs. */
export interface EndpointServices {
  readonly broker: Broker;
  readonly limits: BodyLimits;
  /** Of the hot routes. */
  readonly admission: Admission;
  /** Without one there is no limit. */
  readonly rateLimits: Readonly<Partial<Record<RateLimited, RateLimit>>>;
  /** Whether `challenge.client_ca` is configured. */
  readonly challengeNeedsCertificate: boolean;
}

/** Answers one exchange of a route, given the path values as the router cut them out. Never throws. */
export type Endpoint = (exchange: Exchange, pathValues: Readonly<Record<string, unknown>>) => Promise<void>;

/**
 * A route as something that answers. In order: for the hot routes whether there is room, rate, credential, role, path values,
 * query; only then is the body read, its request let in, parsed and validated, and the use case called. A body may take its
 * time, so the credential and its role are checked once more behind it: a token that was revoked meanwhile is auth.invalid.
 */
export function endpoint(route: Route, services: EndpointServices): Endpoint {
  const validate = route.body === undefined ? undefined : compile(route.body);
  return async (exchange, pathValues) => {
    exchange.matched(route.method, route.path);
    try {
      const outcome = await answer(route, validate, services, exchange, pathValues);
      const answering = (): void => send(exchange, route, outcome);
      if (outcome === OVER_SHARE || outcome === OVERLOADED) services.admission.answer(answering);
      // Across a turn of the event loop, so that one connection with many requests waits for the others.
      else setImmediate(answering);
    } catch (error) {
      exchange.fault(error);
    }
  };
}

async function answer(
  route: Route,
  validate: Validator | undefined,
  services: EndpointServices,
  { request, response }: Exchange,
  pathValues: Readonly<Record<string, unknown>>,
): Promise<Outcome> {
  const source = sourceOf(request.socket);
  const refused = route.hot === true ? services.admission.refusal(source) : undefined;
  if (refused !== undefined) return overloaded(refused);
  const { rateLimited } = route;
  const rateLimit = rateLimited === undefined ? undefined : services.rateLimits[rateLimited];
  if (rateLimited !== undefined && rateLimit !== undefined && !(await rateLimit(request, response))) {
    return reject('request.rate_limited', `more ${rateLimited} per second than this broker is configured for`);
  }
  if (route.clientCertificate === true && services.challengeNeedsCertificate) {
    const certificate = checkClientCertificate(request);
    if (!certificate.ok) return certificate;
  }
  let principal: Principal | undefined;
  if (route.access !== 'public') {
    const caller = await authenticate(services.broker, request, route.access);
    if (!caller.ok) return caller;
    principal = caller.value;
  }
  const path = parsePath(pathValues, route.parameters);
  if (path === undefined) return unknownRoute();
  const query = parseQuery(request.url ?? '', route.query);
  if (!query.ok) return query;

  const call = (body: unknown): Promise<Outcome> => {
    const handle = (by: Principal | undefined) => route.handle({ principal: by, path, query: query.value, body });
    if (route.access === 'public' || !hasBody(request)) return handle(principal);
    return authenticate(services.broker, request, route.access).then((again) =>
      again.ok ? handle(again.value) : again,
    );
  };
  if (validate === undefined) {
    return hasBody(request) ? reject('request.malformed', 'this route takes no body') : call(undefined);
  }
  if (route.bodyOptional && !hasBody(request)) return call({});
  const received = await receiveBody(request, response, services.limits, source);
  if (!received.ok) return received;
  const held = received.value;
  try {
    return route.hot === true
      ? await whenLetIn(services.admission, request, () => callWith(held, validate, call))
      : await callWith(held, validate, call);
  } finally {
    held.release();
  }
}

/** Does the work when there is room for it. Throws ClientGoneError where nobody waits for it any more. */
async function whenLetIn(
  admission: Admission,
  { socket }: Exchange['request'],
  work: () => Outcome | Promise<Outcome>,
): Promise<Outcome> {
  const source = sourceOf(socket);
  const entered = admission.enter(source);
  if (typeof entered === 'string') return overloaded(entered);
  try {
    if (entered !== undefined) {
      await entered;
      if (socket.destroyed) throw new ClientGoneError('the client went away');
    }
    return await work();
  } finally {
    admission.leave(source);
  }
}

function callWith(
  held: HeldBody,
  validate: Validator,
  call: (body: unknown) => Promise<Outcome>,
): Outcome | Promise<Outcome> {
  const parsed = parseBody(held.take());
  const body = parsed.ok ? validate(parsed.value) : parsed;
  return body.ok ? call(body.value) : body;
}

const OVER_SHARE: Denial = reject(
  'request.rate_limited',
  'more requests from this address than its share of what the broker can answer now',
);
const OVERLOADED: Denial = reject(
  'store.unavailable',
  'more is asked of the broker than it can record in time; nothing was released',
);

/** The refusal of a request that there is no room for: 429 to whom goes beyond his share, 503 where all is asked too much. Both say when to ask again. */
export function overloaded(refused: Refused): Denial {
  return refused === 'share' ? OVER_SHARE : OVERLOADED;
}

function send(exchange: Exchange, route: Route, outcome: Outcome): void {
  try {
    if (!outcome.ok) {
      exchange.refuse(outcome);
    } else if (route.produces === 'text') {
      const { contentType, text } = outcome.value as { readonly contentType: string; readonly text: string };
      exchange.text(200, contentType, text);
    } else {
      const status = route.success === 'upsert' ? (outcome.created === true ? 201 : 200) : route.success;
      exchange.json(status, outcome.value);
    }
  } catch (error) {
    exchange.fault(error);
  }
}

/** The refusal of a path or method that is not in the table. */
export function unknownRoute(): Denial {
  return reject('route.unknown', 'there is no such route, or not with this method; /openapi.json lists them');
}
