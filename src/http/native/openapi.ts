import type { TSchema } from 'typebox';
import { REASONS, type ReasonCode } from '../../reason/reason.js';
import { PROBLEM_TYPE, statusOf } from '../problem.js';
import type { Parameters } from './parameters.js';
import type { Route } from './route.js';
import { ProblemSchema } from './view-schemas.js';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of a route table. Schemas with a `title`, and those below `$defs`, become components under that name. */
export function describeRoutes(routes: readonly Route[], version: string): object {
  const components = new Components();
  const problem = components.reference(ProblemSchema);
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operation(route, components, problem);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Portcullis',
      version,
      summary: 'A key release broker for confidential computing',
      description:
        'Bytes are base64url without padding unless said otherwise. Errors are RFC 9457 problem documents; `reason` is stable.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'an admin token; roles admin > operator > auditor' },
      },
    },
  };
}

function operation(route: Route, components: Components, problem: object): Json {
  const { operationId, summary, access, documentedBody } = route;
  return {
    operationId,
    summary,
    ...(access === 'public' ? { security: [] } : { description: `Role: ${access}.`, security: [{ bearer: [] }] }),
    parameters: [...parameters('path', route.parameters, components), ...parameters('query', route.query, components)],
    ...(documentedBody === undefined
      ? {}
      : {
          requestBody: {
            required: !route.bodyOptional,
            content: { 'application/json': { schema: components.reference(documentedBody) } },
          },
        }),
    responses: { ...successes(route, components), ...problems(route, problem) },
  };
}

function parameters(place: 'path' | 'query', given: Parameters, components: Components): Json[] {
  return Object.entries(given).map(([name, { schema, description }]) => ({
    name,
    in: place,
    required: place === 'path',
    description,
    schema: components.reference(schema),
  }));
}

function successes({ success, answer, produces }: Route, components: Components): Json {
  const type = produces === 'text' ? 'text/plain' : 'application/json';
  const content = { [type]: { schema: components.reference(answer) } };
  const statuses = success === 'upsert' ? [200, 201] : [success];
  return Object.fromEntries(
    statuses.map((status) => [status, { description: status === 201 ? 'Created.' : 'Done.', content }]),
  );
}

/** Every reason that the route can answer with, by status: its own, and those that follow from what it takes. */
export function reasonsOf(route: Route): readonly ReasonCode[] {
  const reasons = new Set<ReasonCode>(route.reasons);
  if (route.access !== 'public' || route.clientCertificate === true) reasons.add('auth.missing').add('auth.invalid');
  if (route.access !== 'public') reasons.add('auth.role');
  if (route.body !== undefined) reasons.add('request.too_large').add('request.rate_limited');
  if (route.rateLimited !== undefined) reasons.add('request.rate_limited');
  if (Object.keys(route.parameters).length > 0) reasons.add('route.unknown');
  reasons.add('request.malformed').add('store.unavailable').add('store.integrity').add('internal');
  return [...reasons];
}

function problems(route: Route, schema: object): Json {
  const reasons = reasonsOf(route);
  const statuses = [...new Set(reasons.map(statusOf))].sort((a, b) => a - b);
  return Object.fromEntries(
    statuses.map((status) => {
      const here = reasons.filter((reason) => statusOf(reason) === status);
      const description = here.map((reason) => `\`${reason}\`: ${REASONS[reason]}`).join('\n');
      return [status, { description, content: { [PROBLEM_TYPE]: { schema } } }];
    }),
  );
}

/** Collects named schemas, and puts references in their place. */
class Components {
  readonly schemas: Record<string, unknown> = {};

  /** The schema as the document shows it: a reference where it has a name. */
  reference(schema: TSchema): Json {
    return this.#show(schema) as Json;
  }

  #show(node: unknown): unknown {
    if (Array.isArray(node)) return node.map((item) => this.#show(item));
    if (typeof node !== 'object' || node === null) return node;
    const { title, $defs, ...rest } = node as Json;
    delete rest['$id'];
    for (const [name, definition] of Object.entries(($defs ?? {}) as Json)) {
      // Named before it is shown: definitions may refer to themselves.
      if (!Object.hasOwn(this.schemas, name)) {
        this.schemas[name] = true;
        this.schemas[name] = this.#show(definition);
      }
    }
    const shown: Json = {};
    for (const [keyword, value] of Object.entries(rest)) shown[keyword] = this.#showKeyword(keyword, value);
    if (typeof title !== 'string') return shown;
    this.schemas[title] ??= shown;
    return { $ref: `#/components/schemas/${title}` };
  }

  #showKeyword(keyword: string, value: unknown): unknown {
    switch (keyword) {
      case '$ref':
        return String(value).replace('#/$defs/', '#/components/schemas/');
      case 'properties':
      case 'patternProperties':
        // Their members are names of the document, `title` and `$id` among them, and not keywords.
        return Object.fromEntries(Object.entries(value as Json).map(([name, schema]) => [name, this.#show(schema)]));
      default:
        return this.#show(value);
    }
  }
}
