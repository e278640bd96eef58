import { Type } from 'typebox';

/**
 * The values that log entries are made of. Every string is ASCII that JSON writes as it is, and has a `maxLength`, so
 * that the greatest size of an entry follows from its schema. Descriptions say unit and encoding: they are published.
 */

/** Names that one entry lists at most; longer lists go on in the next entry of the same change. */
export const MAX_NAMES = 128;
/** Reasons that one summary counts at most. */
export const MAX_COUNTS = 180;

const SHA256 = '[0-9a-f]{64}';

function text(pattern: string, maxLength: number, description: string) {
  return Type.String({ pattern: `^${pattern}$`, maxLength, description });
}

const NAMES = {
  deployment: { pattern: '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?', maxLength: 63 },
  key: { pattern: '[0-9A-Za-z-]{1,127}', maxLength: 127 },
  attester: { pattern: '[0-9A-Za-z][0-9A-Za-z._-]{0,126}', maxLength: 127 },
  document: { pattern: SHA256, maxLength: 64 },
} as const;

/** What kind of thing a name is the name of: the same word has one pseudonym per kind. */
export type NameKind = keyof typeof NAMES;

/** Names as they are, by kind. */
export const PLAIN_NAME: Readonly<Record<NameKind, RegExp>> = {
  deployment: new RegExp(`^${NAMES.deployment.pattern}$`),
  key: new RegExp(`^${NAMES.key.pattern}$`),
  attester: new RegExp(`^${NAMES.attester.pattern}$`),
  document: new RegExp(`^${NAMES.document.pattern}$`),
};

/** A salted name. */
export const PSEUDONYM = new RegExp(`^${SHA256}$`);

/** A member whose value is a name of ours, or its pseudonym where the entry says `"names":"salted"`. */
function name(kind: NameKind, description: string) {
  const { pattern, maxLength } = NAMES[kind];
  return Type.String({
    pattern: `^(?:${pattern}|${SHA256})$`,
    maxLength: Math.max(maxLength, 64),
    description,
    'x-name': kind,
  });
}

export const deploymentName = (description: string) => name('deployment', description);
export const keyName = (description: string) => name('key', description);
export const attesterName = (description: string) => name('attester', description);

/** Salted like a name, since whoever guesses the document could confirm the guess by a plain hash. */
export const documentSha256 = (description: string) => name('document', description);

export const deploymentNames = (maxItems: number, description: string) =>
  Type.Array(deploymentName('A deployment.'), { maxItems, description });

export const sha256Hex = (description: string) => text(SHA256, 64, description);
export const sha384Hex = (description: string) => text('[0-9a-f]{96}', 96, description);
export const thumbprint = (description: string) => text('[0-9A-Za-z_-]{43}', 43, description);

/** The TPM Name of an AK: nameAlg (SHA-256, SHA-384 or SHA-512) and its digest; `unknown` where its public area is not known, `none` where there is no TPM. */
export const akName = (description: string) =>
  text('(?:000b[0-9a-f]{64}|000c[0-9a-f]{96}|000d[0-9a-f]{128}|unknown|none)', 132, description);

/** 64 bits without sign, or less, as a decimal string. */
export const decimal = (description: string) => text('(?:0|[1-9][0-9]{0,19})', 20, description);

const DATE = '[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])';
const TIME = `${DATE}T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){2}\\.[0-9]{3}Z`;
export const time = (description: string) => text(TIME, 24, description);

/** What was revoked, by its kind: see endorsement/identity.ts. */
export const revocable = (description: string) =>
  text(`(?:ek/${SHA256}|certificate/${SHA256}/[0-9a-f]{2,40}|ca/${SHA256}|chip/[0-9a-f]{16,128})`, 160, description);

export const versionId = (description: string) => text('[0-9a-f]{32}', 32, description);
export const brokerId = (description: string) => text('[0-9A-Za-z._-]{1,64}', 64, description);
export const logOrigin = (description: string) => text('[0-9A-Za-z._-]{1,64}/[0-9a-f]{16}', 81, description);
export const tokenId = (description: string) => text('[0-9a-f]{16}', 16, description);
export const kekId = (description: string) => text('[0-9A-Za-z][0-9A-Za-z.:/_-]{0,255}', 256, description);
export const softwareVersion = (description: string) => text('[0-9A-Za-z][0-9A-Za-z.+-]{0,63}', 64, description);
export const reasonCode = (description: string) => text('[a-z_]{1,32}(?:\\.[a-z0-9_]{1,32})?', 65, description);
export const versionAsked = (description: string) => text('(?:latest|[0-9a-f]{32})', 32, description);
export const curveName = (description: string) => text('[0-9A-Za-z-]{1,16}', 16, description);

/** The administrator's token, or `init`. */
export const actor = () =>
  text('[0-9A-Za-z][0-9A-Za-z._-]{0,63}', 64, 'Who made the change: the id of the admin token, or `init`.');

export const profile = () =>
  Type.Enum(['development', 'production'], {
    description: 'The profile that init fixed: development trusts simulators.',
  });

export const count = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });

/** Reason code to how often. */
export const counts = (description: string) =>
  Type.Object(
    {},
    {
      patternProperties: {
        '^[a-z_]{1,32}(?:\\.[a-z0-9_]{1,32})?$': Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
      },
      additionalProperties: false,
      minProperties: 1,
      maxProperties: MAX_COUNTS,
      description,
    },
  );
