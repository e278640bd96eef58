/**
 * The native face: JSON over HTTP, contract section 4. It may assume nothing of a request; what it hands to the use cases
 * has passed the schema of its route and, where the route asks for it, authentication. It verifies no evidence.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Broker } from '../../release/broker.js';
import { reject } from '../../reason/reason.js';
import { Admission, type AdmissionLimits } from '../admission.js';
import { Exchange, type ExchangeServices } from '../exchange.js';
import { headerFault } from '../header-fault.js';
import type { LoadObserver } from '../ports.js';
import { Shares } from '../shares.js';
import { whenGone } from '../socket-gone.js';
import { sourceOf } from '../source.js';
import { type Endpoint, endpoint, type EndpointServices, overloaded, unknownRoute } from './endpoint.js';
import { describeRoutes } from './openapi.js';
import { operationRoutes } from './operations.js';
import { limitPerSecond } from './rate-limit.js';
import type { RateLimited, Route } from './route.js';
import { brokerRoutes } from './routes.js';

/** The most memory that bodies of requests under way may hold: small ones, and all others. In bytes. */
const BODY_MEMORY = { small: 64 * 1024 * 1024, large: 256 * 1024 * 1024 };

/** The two calls of every release. */
const HOT_LIMITS: AdmissionLimits = { places: 2048, turnMs: 20, maxWaitMs: 500, unhurried: 256 };
/**
 * Health, readiness, metrics and the description: each source has a few places to itself, which nobody else can take. All
 * strangers' large answers are among these, so that nobody who leaves them lying keeps administration from its places.
 */
const WATCH_LIMITS: AdmissionLimits = { places: Infinity, placesEach: 32, turnMs: 4, maxWaitMs: 1000, unhurried: 128 };
/** All others: they have a line of their own, so that administration answers however many releases are asked for. */
const OTHER_LIMITS: AdmissionLimits = { places: 1024, turnMs: 8, maxWaitMs: 1000, unhurried: 128 };

export interface NativeOptions extends ExchangeServices {
  readonly broker: Broker;
  /** Of the software, for the OpenAPI document. */
  readonly version: string;
  /** Largest request body in bytes. */
  readonly bodyBytes: number;
  /** Of this process, and not always a whole number; 0: unlimited. */
  readonly releasesPerSecond: number;
  /** The same of enrolments, and of activations; default: unlimited. */
  readonly enrolmentsPerSecond?: number;
  /** Challenges and enrolments need a client certificate that verifies: `challenge.client_ca`. */
  readonly challengeNeedsCertificate: boolean;
  readonly load?: LoadObserver;
  /** Others than usual, for tests. */
  readonly hotLimits?: Partial<AdmissionLimits>;
  readonly otherLimits?: Partial<AdmissionLimits>;
  readonly bodyMemory?: typeof BODY_MEMORY;
}

export interface NativeApp {
  /** What the server calls. */
  readonly listener: RequestListener;
  /** The router, for the test that compares it with the table. */
  readonly app: Express;
  /** The table that all was made from. */
  readonly routes: readonly Route[];
}

/**
 * Builds the face from its route table. Express finds the route of a path; the two routes of every release are found by
 * comparison ahead of it, and answered by the very same endpoint, since Express costs more than their cryptography.
 */
export function createNativeApp(options: NativeOptions): NativeApp {
  const { load, lifecycle } = options;
  const accepted = (): number => lifecycle.accepted;
  const admission = new Admission({ ...HOT_LIMITS, ...options.hotLimits }, load, accepted);
  const watch = new Admission(WATCH_LIMITS, load, accepted);
  const others = new Admission({ ...OTHER_LIMITS, ...options.otherLimits }, load, accepted);
  const lines = [admission, watch, others];
  const total = (of: (line: Admission) => number): number => lines.reduce((sum, line) => sum + of(line), 0);
  const { small: smallBytes, large: largeBytes } = options.bodyMemory ?? BODY_MEMORY;
  const small = new Shares(smallBytes);
  const large = new Shares(largeBytes);
  load?.level('requests_under_way', () => total(({ held, waiting }) => held - waiting));
  load?.level('requests_waiting', () => total(({ waiting }) => waiting));
  load?.level('body_bytes', () => small.held + large.held);
  const services: EndpointServices = {
    broker: options.broker,
    limits: { maxBytes: options.bodyBytes, small, large, load },
    admission,
    rateLimits: {
      ...rateLimit('releases', options.releasesPerSecond),
      ...rateLimit('enrolments', options.enrolmentsPerSecond),
      ...rateLimit('activations', options.enrolmentsPerSecond),
    },
    challengeNeedsCertificate: options.challengeNeedsCertificate,
  };
  const routes: Route[] = [...brokerRoutes(options.broker)];
  routes.push(...operationRoutes(options, () => document));
  const document = describeRoutes(routes, options.version);

  const endpoints = new Map(routes.map((route) => [route, endpoint(route, services)]));
  const exchanges = new WeakMap<IncomingMessage, Exchange>();
  const app = router(endpoints, exchanges);
  const hot = new Map(
    [...endpoints]
      .filter(([route]) => route.hot === true)
      .map(([route, answer]) => [`${route.method} ${route.path}`, answer]),
  );

  const watched = new Set(routes.filter((route) => route.watch === true).map(({ path }) => path));

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new Exchange(request, response, options);
    const malformed = headerFault(request);
    if (malformed !== undefined) {
      exchange.refuse(reject('request.malformed', malformed));
      return;
    }
    const direct = hot.get(`${request.method ?? ''} ${request.url ?? ''}`);
    if (direct !== undefined) {
      void direct(exchange, {});
      return;
    }
    exchanges.set(request, exchange);
    inTurn(watched.has(pathOf(request.url ?? '')) ? watch : others, exchange, () => {
      app(request as Parameters<Express>[0], response as Parameters<Express>[1]);
    });
  };
  return { listener, app, routes };
}

function rateLimit(of: RateLimited, perSecond = 0): EndpointServices['rateLimits'] {
  return perSecond === 0 ? {} : { [of]: limitPerSecond(perSecond) };
}

/** The path of a request target in any form that the router takes (RFC 9112 section 3.2), an absolute one or one with `?` too; empty for others. */
function pathOf(target: string): string {
  return URL.canParse(target, 'http://broker') ? new URL(target, 'http://broker').pathname : '';
}

/** Calls `route` when there is room, which the exchange then has until it is answered, or its client has gone. */
function inTurn(admission: Admission, exchange: Exchange, route: () => void): void {
  const source = sourceOf(exchange.request.socket);
  const entered = admission.enter(source);
  if (typeof entered === 'string') {
    exchange.refuse(overloaded(entered));
    return;
  }
  const begin = (): void => {
    const { request, response } = exchange;
    if (request.socket.destroyed) {
      admission.leave(source);
      return;
    }
    let left = false;
    const leave = (): void => {
      if (left) return;
      left = true;
      forget();
      response.off('close', leave);
      admission.leave(source);
    };
    const forget = whenGone(request.socket, leave);
    response.once('close', leave);
    exchange.onAnswered(leave);
    route();
  };
  if (entered === undefined) begin();
  else void entered.then(begin);
}

function router(endpoints: ReadonlyMap<Route, Endpoint>, exchanges: WeakMap<IncomingMessage, Exchange>): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app
    .set('trust proxy', false)
    .set('query parser', 'simple')
    .set('strict routing', true)
    .set('case sensitive routing', true);

  const exchangeOf = (request: IncomingMessage): Exchange => {
    const exchange = exchanges.get(request);
    if (exchange === undefined) throw new Error('a request without exchange');
    return exchange;
  };
  // One spelling per path: nothing in our paths needs percent-encoding, so no encoded slash or dot can mean anything.
  app.use((request, _response, next) => {
    if (request.path.includes('%')) exchangeOf(request).refuse(unknownRoute());
    else next();
  });
  const routes = [...endpoints.keys()];
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    const place = app.route(path.replace(/\{(\w+)\}/g, ':$1'));
    for (const route of here) {
      const answer = endpoints.get(route);
      const method = route.method.toLowerCase() as Lowercase<Route['method']>;
      place[method]((request) => answer?.(exchangeOf(request), request.params));
    }
    const allowed = here.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    place.all((request, response) => {
      response.setHeader('allow', allowed);
      exchangeOf(request).refuse(unknownRoute());
    });
  }
  app.use((request) => exchangeOf(request).refuse(unknownRoute()));
  // Express knows an error handler by its four parameters.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  const onError: ErrorRequestHandler = (error, request, response, next) => exchangeOf(request).fault(error);
  app.use(onError);
  return app;
}
