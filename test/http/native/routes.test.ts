import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Route } from '../../../src/http/native/route.js';
import { type FakeBroker, HASH, releaseRequest, TOKENS } from '../fake-broker.js';
import { ask, type Running, start } from '../harness.js';

let running: Running;
beforeAll(async () => {
  running = await start();
});
afterAll(() => running.stop());

/** Every (method, path) that the running router answers, as read from the router itself. */
function served(): string[] {
  return running.native.app.router.stack.flatMap((layer) => {
    const { route } = layer;
    if (route === undefined) return [];
    const methods = route.stack
      .map(({ method }) => method as string | undefined)
      .filter((method) => method !== undefined);
    return methods.map((method) => `${method.toUpperCase()} ${route.path.replace(/:(\w+)/g, '{$1}')}`);
  });
}

const VALUES: Readonly<Record<string, string>> = {
  name: 'llm',
  sha256: HASH,
  id: '00000000000000a4',
  release_id: '0'.repeat(32),
};

/** A request that the route accepts. */
const BODIES: Readonly<Record<string, object>> = {
  issueChallenge: { deployment: 'llm', key: 'weights' },
  release: releaseRequest,
  simulateMachine: { deployment: 'llm', ak: 'AA' },
  createDeployment: { metadata: { name: 'llm' } },
  applyDeployment: { metadata: { name: 'llm' } },
  registerPolicy: { deployment: 'llm', sha256: HASH },
  createKey: { name: 'weights', deployments: ['llm'], type: 'oct' },
  setKeyDeployments: { deployments: ['llm'] },
  trustAttester: { deployment: 'llm', public: 'AA' },
  revokeIdentity: { identity: `ek/${HASH}` },
  enrolAttester: { deployment: 'llm', ek_certificates: ['AA'], ak: 'AA' },
  activateEnrolment: { enrolment: 'AA', secret: 'AA' },
  createToken: { name: 'ci', role: 'auditor' },
};

function call(route: Pick<Route, 'method' | 'path' | 'operationId'>, token?: string) {
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => VALUES[name] ?? '');
  const body = BODIES[route.operationId];
  return ask(running.url + path, {
    method: route.method,
    ...(body === undefined ? {} : { body }),
    ...(token === undefined ? {} : { token }),
  });
}

interface Operation {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

async function document() {
  const answer = await ask(`${running.url}/openapi.json`);
  return answer.json as unknown as {
    readonly openapi: string;
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    readonly components: { readonly schemas: Readonly<Record<string, object>> };
  };
}

describe('the route table, the running router and the document', () => {
  test('are the same set of routes', async () => {
    const table = running.native.routes.map(({ method, path }) => `${method} ${path}`).sort();
    const documented = Object.entries((await document()).paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(served().sort()).toEqual(table);
    expect(documented.sort()).toEqual(table);
    expect(new Set(table).size).toBe(table.length);
  });

  test('the contract has these routes, with these roles', () => {
    const rows = running.native.routes.map(({ method, path, access }) => `${access} ${method} ${path}`);
    expect(rows.sort()).toMatchInlineSnapshot(`
     [
       "admin DELETE /v1/tokens/{id}",
       "admin GET /v1/tokens",
       "admin POST /v1/kek/rotate",
       "admin POST /v1/tokens",
       "auditor GET /v1/attesters",
       "auditor GET /v1/attesters/{id}",
       "auditor GET /v1/broker",
       "auditor GET /v1/deployments",
       "auditor GET /v1/deployments/{name}",
       "auditor GET /v1/entries",
       "auditor GET /v1/keys",
       "auditor GET /v1/keys/{name}",
       "auditor GET /v1/policies",
       "auditor GET /v1/policies/{sha256}",
       "auditor GET /v1/releases/{release_id}/replay",
       "auditor GET /v1/revocations",
       "operator DELETE /v1/keys/{name}",
       "operator POST /v1/attesters",
       "operator POST /v1/attesters/{id}/quarantine",
       "operator POST /v1/attesters/{id}/revoke",
       "operator POST /v1/attesters/{id}/unquarantine",
       "operator POST /v1/deployments",
       "operator POST /v1/deployments/{name}/freeze",
       "operator POST /v1/deployments/{name}/unfreeze",
       "operator POST /v1/keys",
       "operator POST /v1/keys/{name}/disable",
       "operator POST /v1/keys/{name}/enable",
       "operator POST /v1/keys/{name}/freeze",
       "operator POST /v1/keys/{name}/recover",
       "operator POST /v1/keys/{name}/rotate",
       "operator POST /v1/keys/{name}/unfreeze",
       "operator POST /v1/policies",
       "operator POST /v1/policies/{sha256}/retire",
       "operator POST /v1/revocations",
       "operator PUT /v1/deployments/{name}",
       "operator PUT /v1/keys/{name}/deployments",
       "public GET /healthz",
       "public GET /metrics",
       "public GET /openapi.json",
       "public GET /readyz",
       "public POST /v1/attesters/enrolments",
       "public POST /v1/attesters/enrolments/activations",
       "public POST /v1/challenges",
       "public POST /v1/releases",
       "public POST /v1/simulator/machines",
     ]
    `);
  });

  test('every schema of a body is valid', () => {
    for (const { operationId, body } of running.native.routes) {
      if (body === undefined) continue;
      const ajv = new Ajv2020({ strict: false });
      expect([operationId, ajv.validateSchema(body), ajv.errors]).toEqual([operationId, true, null]);
    }
  });

  test('every path parameter is declared, and every operation has an id of its own', () => {
    for (const route of running.native.routes) {
      const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(inPath).toEqual(Object.keys(route.parameters));
    }
    const ids = running.native.routes.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('every route of the running router', () => {
  const ROLES = ['auditor', 'operator', 'admin'] as const;

  test('needs a credential unless the table calls it public, and a role that suffices', async () => {
    let checked = 0;
    for (const row of served()) {
      const route = running.native.routes.find(({ method, path }) => `${method} ${path}` === row);
      if (route === undefined) throw new Error(`${row} is served without standing in the table`);
      if (route.access === 'public') continue;
      const missing = await call(route);
      expect([row, missing.status, missing.json['reason']]).toEqual([row, 401, 'auth.missing']);
      expect(missing.headers['www-authenticate']).toMatch(/^Bearer /);
      const invalid = await call(route, 'pc_00000000000000ff_unknown');
      expect([row, invalid.status, invalid.json['reason']]).toEqual([row, 401, 'auth.invalid']);
      for (const role of ROLES) {
        const answer = await call(route, TOKENS[role]);
        const suffices = ROLES.indexOf(role) >= ROLES.indexOf(route.access);
        expect([row, role, answer.status < 300, answer.json['reason']]).toEqual([
          row,
          role,
          suffices,
          suffices ? undefined : 'auth.role',
        ]);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(60);
  });

  test('the public ones are these and no others', () => {
    const open = running.native.routes.filter(({ access }) => access === 'public').map(({ path }) => path);
    expect(open.sort()).toEqual([
      '/healthz',
      '/metrics',
      '/openapi.json',
      '/readyz',
      '/v1/attesters/enrolments',
      '/v1/attesters/enrolments/activations',
      '/v1/challenges',
      '/v1/releases',
      '/v1/simulator/machines',
    ]);
  });

  test('answers what its documented schema says, with a documented status', async () => {
    const { paths, components } = await document();
    // The document's schemas use `format` and `description` alone beyond what validates.
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: 'urn:portcullis:openapi', components });
    for (const route of running.native.routes) {
      const answer = await call(route, TOKENS.admin);
      const response = paths[route.path]?.[route.method.toLowerCase()]?.responses[String(answer.status)];
      if (response === undefined)
        throw new Error(`${route.operationId}: status ${String(answer.status)} is not documented`);
      if (route.produces === 'text') continue;
      const schema = JSON.parse(
        JSON.stringify(response.content['application/json']?.schema).replaceAll('"#/', '"urn:portcullis:openapi#/'),
      ) as object;
      expect([route.operationId, ajv.validate(schema, answer.json), ajv.errorsText()]).toEqual([
        route.operationId,
        true,
        'No errors',
      ]);
    }
  });
});

describe('the OpenAPI document', () => {
  test('is OpenAPI 3.1 whose references all resolve and whose schemas all compile', async () => {
    const api = await document();
    expect(api.openapi).toBe('3.1.0');
    const references = [...JSON.stringify(api).matchAll(/"\$ref":"([^"]*)"/g)].map(([, target]) => target ?? '');
    expect(references.length).toBeGreaterThan(50);
    for (const target of references) {
      const name = target.replace('#/components/schemas/', '');
      expect([target, Object.hasOwn(api.components.schemas, name)]).toEqual([target, true]);
      expect(name).toMatch(/^[0-9A-Za-z._-]+$/);
    }
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema({ $id: 'urn:portcullis:openapi', components: api.components });
    for (const name of Object.keys(api.components.schemas)) {
      expect(typeof ajv.compile({ $ref: `urn:portcullis:openapi#/components/schemas/${name}` })).toBe('function');
    }
  });

  test('says what each route may refuse, and how to authenticate', async () => {
    const { paths } = await document();
    for (const route of running.native.routes) {
      const operation = paths[route.path]?.[route.method.toLowerCase()];
      expect(operation?.security).toEqual(route.access === 'public' ? [] : [{ bearer: [] }]);
      for (const status of route.access === 'public' ? ['400', '500', '503'] : ['400', '401', '403', '500', '503']) {
        expect(Object.keys(operation?.responses[status]?.content ?? {})).toEqual(['application/problem+json']);
      }
    }
  });

  test('describes the deployment document itself', async () => {
    const { components } = await document();
    expect(JSON.stringify(components.schemas['DeploymentDocument'])).toContain('unmeasuredBoot');
    expect(JSON.stringify(components.schemas['Problem'])).toContain('"title"');
  });
});

describe('in the production profile', () => {
  test('the simulator route does not exist', async () => {
    const production = Object.fromEntries(
      Object.entries(running.broker).filter(([name]) => name !== 'simulateMachine'),
    ) as unknown as FakeBroker;
    const other = await start({ broker: production });
    try {
      const answer = await ask(`${other.url}/v1/simulator/machines`, {
        method: 'POST',
        body: { deployment: 'llm', ak: 'AA' },
      });
      expect([answer.status, answer.json['reason']]).toEqual([404, 'route.unknown']);
      expect((await ask(`${other.url}/openapi.json`)).text).not.toContain('/v1/simulator');
    } finally {
      await other.stop();
    }
  });
});
