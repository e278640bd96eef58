import type { Static, TSchema } from 'typebox';
import type { Denial, Principal } from '../../release/broker.js';
import type { ReasonCode } from '../../reason/reason.js';
import type { Role } from '../../release/records.js';
import type { Parameters, PathValues, QueryValues } from './parameters.js';

/** What has a rate of its own. */
export type RateLimited = 'releases' | 'enrolments' | 'activations';

/** Who may call: everybody, or any valid token of at least this role. */
export type Access = 'public' | Role;

/** What a handler is called with: everything in it has passed the schema of its route. */
export interface Call<A extends Access, P extends Parameters, Q extends Parameters, B extends TSchema> {
  readonly principal: A extends 'public' ? undefined : Principal;
  readonly path: PathValues<P>;
  readonly query: QueryValues<Q>;
  readonly body: Static<B>;
}

/** The same before the handler's own types: `principal` is there unless the route is public. */
export interface ParsedCall {
  readonly principal: Principal | undefined;
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** A value, with `created` where the route answers 200 or 201 by it; or a refusal. */
export type Outcome = { readonly ok: true; readonly value: unknown; readonly created?: boolean } | Denial;

interface Description {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** A path template: `{name}` stands for one segment. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly access: Access;
  /** The success status; 'upsert' is 201 where the outcome says created, else 200. */
  readonly success: 200 | 201 | 'upsert';
  /** The schema of the answer, for the document. */
  readonly answer: TSchema;
  /** Reasons that the use case adds to those that follow from access, query and body. */
  readonly reasons?: readonly ReasonCode[];
  /** 'json' unless said: a handler of 'text' gives {contentType, text}. */
  readonly produces?: 'json' | 'text';
  /** Needs a client certificate where `challenge.client_ca` is configured. */
  readonly clientCertificate?: true;
  /** What it counts as, against `limits.releases_per_second` or `limits.enrolments_per_second`. */
  readonly rateLimited?: RateLimited;
  /** Served ahead of the router: the two calls of every release. Its path has no parameters. */
  readonly hot?: true;
  /** Asked by strangers who watch over the process, and answered from what is at hand: in a line of its own. Its path has no parameters. */
  readonly watch?: true;
}

/** One row of the route table, as data: the router, the validators and the OpenAPI document are made from it. */
export interface Route extends Description {
  readonly parameters: Parameters;
  readonly query: Parameters;
  /** The schema of the JSON body; undefined where none is taken. */
  readonly body: TSchema | undefined;
  /** What the document shows as the body where that is more than the route checks. */
  readonly documentedBody: TSchema | undefined;
  /** A body may be left out, and is then {}. */
  readonly bodyOptional: boolean;
  readonly handle: (call: ParsedCall) => Promise<Outcome>;
}

type Definition<A extends Access, P extends Parameters, Q extends Parameters, B extends TSchema> = Description & {
  readonly access: A;
  readonly parameters?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly documentedBody?: TSchema;
  readonly bodyOptional?: true;
  readonly handle: (call: Call<A, P, Q, B>) => Promise<Outcome>;
};

type None = Readonly<Record<string, never>>;

/** A route whose handler is typed by its own schemas. */
export function route<
  A extends Access,
  P extends Parameters = None,
  Q extends Parameters = None,
  B extends TSchema = TSchema,
>(definition: Definition<A, P, Q, B>): Route {
  const {
    parameters = {},
    query = {},
    body,
    documentedBody,
    bodyOptional = false,
    handle,
    ...description
  } = definition;
  return {
    ...description,
    parameters,
    query,
    body,
    documentedBody: documentedBody ?? body,
    bodyOptional,
    // The endpoint calls it with values that it parsed by these very schemas.
    handle: handle as (call: ParsedCall) => Promise<Outcome>,
  };
}
