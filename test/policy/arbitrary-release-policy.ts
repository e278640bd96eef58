import fc from 'fast-check';

const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,7}$/);
const claim = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('.'));
const integer = fc.maxSafeInteger().map((value) => (value === 0 ? 0 : value));
const decimal = fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String);
const scalar = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), integer, fc.boolean());
const ordering = fc.constantFrom('less', 'lessOrEquals', 'greater', 'greaterOrEquals');
const kind = fc.constantFrom('anyOf', 'allOf', 'anyof', 'allof');

const comparison = fc.oneof(
  fc.tuple(claim, fc.constantFrom('equals', 'notEquals'), scalar),
  fc.tuple(claim, ordering, fc.oneof(integer, decimal)),
  fc.tuple(claim, fc.constant('exists'), fc.boolean()),
);

const { condition } = fc.letrec<{ condition: unknown }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    comparison.map(([path, operator, value]) => ({ claim: path, [operator]: value })),
    fc
      .tuple(kind, fc.array(tie('condition'), { minLength: 1, maxLength: 3 }))
      .map(([group, list]) => ({ [group]: list })),
  ),
}));

const authority = fc
  .tuple(
    fc.constantFrom('portcullis', 'https://issuer.example/'),
    kind,
    fc.array(condition, { minLength: 1, maxLength: 3 }),
  )
  .map(([issuer, group, list]) => ({ authority: issuer, [group]: list }));

/** Release policies in JSON that the grammar allows. */
export const releasePolicyJson: fc.Arbitrary<unknown> = fc
  .tuple(kind, fc.array(authority, { minLength: 1, maxLength: 3 }))
  .map(([group, list]) => ({ version: '1.0.0', [group]: list }));
