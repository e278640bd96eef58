import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { type Static, type TSchema, Type } from 'typebox';
import { MalformedError } from '../bytes/malformed-error.js';

const text = Type.String({ maxLength: 256 });
const closed = { additionalProperties: false };

function mapOf<T extends TSchema>(value: T) {
  return Type.Record(text, value);
}

const Policy = Type.Object(
  { sha384: Type.Optional(text), fromMs: Type.Optional(Type.Integer()), untilMs: Type.Optional(Type.Integer()) },
  closed,
);
const Deployment = Type.Object(
  {
    trust: Type.Array(text),
    boot: text,
    bank: text,
    frozen: Type.Boolean(),
    anyFromRoots: Type.Boolean(),
    policies: mapOf(Policy),
    pins: mapOf(text),
    enrolled: mapOf(Type.Object({ name: text, ek: text }, closed)),
  },
  closed,
);
const Key = Type.Object({ state: text, deployments: Type.Array(text), versions: mapOf(text) }, closed);

const HistorySchema = Type.Object(
  {
    version: Type.Literal(2),
    next: Type.Integer({ minimum: 0 }),
    time: text,
    generation: Type.Optional(Type.String({ pattern: '^(?:0|[1-9][0-9]{0,19})$' })),
    changed: Type.Boolean(),
    salted: Type.Optional(Type.Boolean()),
    broker: Type.Optional(Type.Object({ id: text, profile: text, origin: text }, closed)),
    deployments: mapOf(Deployment),
    keys: mapOf(Key),
    frozenKeys: Type.Array(text),
    quarantined: Type.Array(text),
    revoked: Type.Array(text),
  },
  closed,
);

/** A history at rest, as JSON: as large as what was ever administered, whatever the number of releases. */
export type HistoryState = Static<typeof HistorySchema>;

let compiled: ValidateFunction<HistoryState> | undefined;

/** Checks the shape of a history that was kept. Throws MalformedError. NOT checked: that it is the one that was kept, which is for the caller to know. */
export function parseHistoryState(json: unknown): HistoryState {
  compiled ??= new Ajv2020({ strict: true }).compile<HistoryState>(HistorySchema);
  if (compiled(json)) return json;
  throw new MalformedError('history: not what this version keeps of a log; verify it from the beginning');
}
