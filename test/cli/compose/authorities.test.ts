import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openAuthorities } from '../../../src/cli/compose/authorities.js';
import { AuthorityServer } from '../../collateral/authority-server.js';

let server: AuthorityServer;
beforeEach(async () => {
  server = await AuthorityServer.start();
});
afterEach(() => server.close());

test('keys of an authority that cannot be had are told, with the cause and without the query of the URL', async () => {
  const troubles: string[] = [];
  const jwks = `${server.origin}/keys?api_key=hidden`;
  const keys = openAuthorities([{ issuer: server.origin, ca: server.caFile, jwks }], (where, why) =>
    troubles.push(`${where}: ${why}`),
  );
  try {
    expect(await keys.keys(keys.authorityOf(server.origin)!, 'k')).toMatchObject({ reason: 'collateral.unavailable' });
    expect(troubles).toEqual([`the keys of ${server.origin}: ${server.origin}/keys answered 404`]);
  } finally {
    await keys.close();
  }
});

test('a CA file that is not there is a mistake in the configuration, which names it', () => {
  const ca = `${server.caFile}.missing`;
  expect(() => openAuthorities([{ issuer: server.origin, ca }])).toThrow(
    `authorities: ca: ${ca}: there is no such file`,
  );
});
