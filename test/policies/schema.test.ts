import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import YAML from 'yaml';
import { DeploymentFileSchema, DeploymentWireSchema } from '../../src/policy/deployment-schema.js';

const POLICIES = path.resolve(import.meta.dirname, '../../policies');
const FILE = path.join(POLICIES, 'deployment.schema.json');

/** `UPDATE_SCHEMA=1 npm test -- test/policies/schema.test.ts`, then prettier, writes the published file anew. */
test('the published schema is the one that validates', () => {
  const current = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...DeploymentFileSchema };
  if (process.env['UPDATE_SCHEMA'] === '1') writeFileSync(FILE, JSON.stringify(current, null, 2));
  expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(JSON.parse(JSON.stringify(current)));
});

test('a validator that knows nothing of ours takes the published schema and the examples', () => {
  const validate = new Ajv2020().compile(JSON.parse(readFileSync(FILE, 'utf8')) as object);
  for (const example of ['llm-inference/llm-inference.yaml', 'fine-tuning/train.yaml', 'clean-room/insurer.yaml']) {
    const document = YAML.parse(readFileSync(path.join(POLICIES, example), 'utf8')) as object;
    expect(validate(document)).toBe(true);
    expect(validate({ ...document, unknown: 1 })).toBe(false);
  }
});

test.each([
  ['file', DeploymentFileSchema],
  ['wire', DeploymentWireSchema],
])('the %s schema is valid, and closes every object and bounds every string and list', (_, schema) => {
  const open: string[] = [];
  const visit = (node: unknown, at: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const {
      type,
      additionalProperties,
      maxLength,
      maxItems,
      const: constant,
    } = node as Readonly<Record<string, unknown>>;
    if (type === 'object' && additionalProperties !== false) open.push(at);
    if (type === 'string' && maxLength === undefined && constant === undefined) open.push(at);
    if (type === 'array' && maxItems === undefined) open.push(at);
    for (const [name, member] of Object.entries(node)) visit(member, `${at}/${name}`);
  };
  visit(schema, '');
  expect(open).toEqual([]);
  expect(new Ajv2020().validateSchema(schema)).toBe(true);
});
