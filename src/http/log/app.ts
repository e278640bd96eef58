/**
 * The log face: checkpoint, tiles and entry bundles as C2SP tlog-tiles lays them out under a prefix, here `/log`, and the
 * log's key. Everything here is public and needs no token. It may assume a store that authenticates the size of its log; it
 * does not verify what it serves, its readers do.
 */
import type { RequestListener } from 'node:http';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { reject } from '../../reason/reason.js';
import { parseTilePath, TILE_WIDTH, type TileName } from '../../translog/tile.js';
import { hasBody } from '../body.js';
import { Exchange, type ExchangeServices } from '../exchange.js';
import { headerFault } from '../header-fault.js';
import { type PublishedLog, readTile } from './tiles.js';
import { Turnstile } from './turnstile.js';

/** What every path of this face starts with. */
export const LOG_PREFIX = '/log/';

const TEXT = 'text/plain; charset=utf-8';
const BYTES = 'application/octet-stream';
const FOR_EVER = 'public, max-age=31536000, immutable';
/** A full tile takes the place of a partial one, and an accepted rollback changes the newest tiles first of all. */
const PARTIAL_CACHING = 'public, max-age=60';
/** The checkpoint is new with every commit. */
const CHECKPOINT_CACHING = 'public, max-age=1';
/** The key changes where a rollback is accepted. */
const KEY_CACHING = 'public, max-age=60';
/** How long a client may take to read an answer whose memory we keep. */
const SEND_TIMEOUT_MS = 60_000;

const compress = promisify(gzip);

export interface LogFaceOptions extends ExchangeServices {
  readonly published: PublishedLog;
  /** The vkey string. */
  readonly logKey: string;
}

type Resource =
  | { readonly template: string; readonly kind: 'checkpoint' | 'key' }
  | { readonly template: string; readonly kind: 'tile'; readonly tile: TileName };

/** Answers GET and HEAD below `/log/`; every other path or method there is route.unknown. */
export function createLogApp(options: LogFaceOptions): RequestListener {
  const turnstile = new Turnstile();
  return (request, response) => {
    const exchange = new Exchange(request, response, options);
    const malformed = headerFault(request);
    if (malformed !== undefined) {
      exchange.refuse(reject('request.malformed', malformed));
      return;
    }
    const resource = resourceAt(request.url ?? '');
    if (resource === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      if (resource !== undefined) response.setHeader('allow', 'GET, HEAD');
      exchange.refuse(
        reject('route.unknown', 'the log has no such resource, or not with this method; see C2SP tlog-tiles'),
      );
      return;
    }
    exchange.matched('GET', resource.template);
    if (hasBody(request)) {
      exchange.refuse(reject('request.malformed', 'this route takes no body'));
      return;
    }
    serve(exchange, resource, options, turnstile);
  };
}

/** The resource at a path; undefined for any spelling that is not the one of tlog-tiles, a query included. */
function resourceAt(url: string): Resource | undefined {
  const path = url.startsWith(LOG_PREFIX) ? url.slice(LOG_PREFIX.length) : '';
  if (path === 'checkpoint' || path === 'key') return { template: LOG_PREFIX + path, kind: path };
  const tile = parseTilePath(path);
  if (tile === undefined) return undefined;
  const template = tile.level === 'entries' ? 'tile/entries/{index}' : 'tile/{level}/{index}';
  return { template: LOG_PREFIX + template, kind: 'tile', tile };
}

function serve(exchange: Exchange, resource: Resource, options: LogFaceOptions, turnstile: Turnstile): void {
  switch (resource.kind) {
    case 'key':
      sendText(exchange, KEY_CACHING, `${options.logKey}\n`);
      return;
    case 'checkpoint':
      // It may wait for witnesses, so it takes no turn of the others.
      void guarded(exchange, async () => sendText(exchange, CHECKPOINT_CACHING, await options.published.checkpoint()));
      return;
    case 'tile': {
      const { tile } = resource;
      const entered = turnstile.enter(() =>
        // Whoever has gone away while waiting costs nothing more.
        exchange.response.destroyed
          ? Promise.resolve()
          : guarded(exchange, () => sendTile(exchange, tile, options.published, turnstile)),
      );
      if (!entered) exchange.refuse(tooBusy());
    }
  }
}

async function guarded(exchange: Exchange, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    exchange.fault(error);
  }
}

function sendText(exchange: Exchange, caching: string, text: string): void {
  exchange.response.setHeader('cache-control', caching);
  exchange.text(200, TEXT, text);
}

async function sendTile(exchange: Exchange, tile: TileName, log: PublishedLog, turnstile: Turnstile): Promise<void> {
  const { request, response } = exchange;
  const bytes = await readTile(log, tile);
  if (bytes === undefined) {
    exchange.refuse(reject('resource.unknown', 'the log has not come so far, or no tree has such a tile'));
    return;
  }
  const bundle = tile.level === 'entries';
  const zipped = bundle && acceptsGzip(request.headers['accept-encoding']);
  const body = zipped ? await compress(bytes, { level: constants.Z_BEST_SPEED }) : bytes;
  // After this nothing is awaited, so that its close is still to come.
  if (response.destroyed) return;
  if (!turnstile.budget.take(body.length)) {
    exchange.refuse(tooBusy());
    return;
  }
  const cutOff = setTimeout(() => response.destroy(), SEND_TIMEOUT_MS).unref();
  response.once('close', () => {
    clearTimeout(cutOff);
    turnstile.budget.give(body.length);
  });
  if (bundle) response.setHeader('vary', 'accept-encoding');
  if (zipped) response.setHeader('content-encoding', 'gzip');
  response.setHeader('cache-control', tile.width === TILE_WIDTH ? FOR_EVER : PARTIAL_CACHING);
  exchange.text(200, BYTES, body);
}

function tooBusy() {
  return reject('request.rate_limited', 'the log is read by more clients than can be served now');
}

/** RFC 9110 section 12.5.3, for this one coding: it is named, and not with weight 0. */
function acceptsGzip(header: string | undefined): boolean {
  return (header ?? '').split(',').some((part) => {
    const [coding, ...parameters] = part.split(';').map((each) => each.trim().toLowerCase());
    return (coding === 'gzip' || coding === 'x-gzip') && !parameters.some((each) => /^q=0(?:\.0{0,3})?$/.test(each));
  });
}
