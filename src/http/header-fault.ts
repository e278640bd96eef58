import type { IncomingMessage } from 'node:http';

const MAX_HEADER_FIELDS = 64;

/** What Node's parser lets pass and we do not: what is wrong, or undefined. */
export function headerFault(request: IncomingMessage): string | undefined {
  if (request.rawHeaders.length / 2 > MAX_HEADER_FIELDS) return `more than ${String(MAX_HEADER_FIELDS)} header fields`;
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') return 'not HTTP/1.1';
  return request.httpVersion === '1.1' && request.headers.host === undefined ? 'the host header is missing' : undefined;
}
