import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** The servers of all makers, in one; by the path that is asked for. */
export async function makersServer(answers: ReadonlyMap<string, Answer>) {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const {
      status: code = 200,
      headers = {},
      body = Buffer.alloc(0),
    } = answers.get(request.url ?? '') ?? { status: 404 };
    response.writeHead(code, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const from = (['intel', 'intel-root', 'amd', 'nvidia', 'nvidia-crl'] as const).map((maker) => [maker, url] as const);
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, asked, from, close };
}
