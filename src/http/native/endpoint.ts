import { reject, type Result } from '../../reason/reason.js';
import type { Broker, Denial, Principal } from '../../release/broker.js';
import { type BodyLimits, hasBody, readJson } from '../body.js';
import type { Exchange } from '../exchange.js';
import { authenticate, checkClientCertificate } from './authenticate.js';
import { parsePath, parseQuery } from './parameters.js';
import type { RateLimit } from './rate-limit.js';
import type { Outcome, Route } from './route.js';
import { compile, type Validator } from './validate.js';

/** What every endpoint needs. */
export interface EndpointServices {
  readonly broker: Broker;
  readonly limits: BodyLimits;
  /** undefined: no limit. */
  readonly rateLimit: RateLimit | undefined;
  /** Whether `challenge.client_ca` is configured. */
  readonly challengeNeedsCertificate: boolean;
}

/** Answers one exchange of a route, given the path values as the router cut them out. Never throws. */
export type Endpoint = (exchange: Exchange, pathValues: Readonly<Record<string, unknown>>) => Promise<void>;

/**
 * A route as something that answers. In order: rate, credential, role, path values, query; only then is the body read,
 * validated, and the use case called. A body may take its time, so the credential and its role are checked once more behind
 * it: a token that was revoked meanwhile is auth.invalid.
 */
export function endpoint(route: Route, services: EndpointServices): Endpoint {
  const validate = route.body === undefined ? undefined : compile(route.body);
  return async (exchange, pathValues) => {
    exchange.matched(route.method, route.path);
    try {
      const outcome = await answer(route, validate, services, exchange, pathValues);
      // Across a turn of the event loop, so that one connection with many requests waits for the others.
      setImmediate(() => send(exchange, route, outcome));
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
  if (
    route.rateLimited === true &&
    services.rateLimit !== undefined &&
    !(await services.rateLimit(request, response))
  ) {
    return reject('request.rate_limited', 'more releases per second than this broker is configured for');
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
  const body = await readBody(route, validate, services, { request, response });
  if (!body.ok) return body;
  if (route.access !== 'public' && hasBody(request)) {
    const caller = await authenticate(services.broker, request, route.access);
    if (!caller.ok) return caller;
    principal = caller.value;
  }
  return route.handle({ principal, path, query: query.value, body: body.value });
}

async function readBody(
  route: Route,
  validate: Validator | undefined,
  { limits }: EndpointServices,
  { request, response }: Pick<Exchange, 'request' | 'response'>,
): Promise<Result<unknown>> {
  if (validate === undefined) {
    return hasBody(request) ? reject('request.malformed', 'this route takes no body') : { ok: true, value: undefined };
  }
  if (route.bodyOptional && !hasBody(request)) return { ok: true, value: {} };
  const body = await readJson(request, response, limits);
  return body.ok ? validate(body.value) : body;
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
