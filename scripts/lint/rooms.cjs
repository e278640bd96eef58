// The rooms of src/ and what each may import: a folder imports only from itself and from the folders named here.
const CORE = [
  'reason',
  'bytes',
  'crypto',
  'claims',
  'challenge',
  'endorsement',
  'evidence',
  'policy',
  'keys',
  'translog',
  'release',
];

const MAY_IMPORT = {
  reason: [],
  bytes: ['reason'],
  crypto: ['reason', 'bytes'],
  claims: ['reason', 'bytes'],
  challenge: ['reason', 'bytes', 'crypto'],
  endorsement: ['reason', 'bytes', 'crypto'],
  evidence: ['reason', 'bytes', 'crypto', 'claims', 'challenge', 'endorsement'],
  policy: ['reason', 'bytes', 'crypto', 'claims'],
  keys: ['reason', 'bytes', 'crypto'],
  translog: ['reason', 'bytes', 'crypto'],
  release: CORE,
  http: CORE,
  store: CORE,
  keystore: CORE,
  collateral: CORE,
  telemetry: CORE,
  config: CORE,
  witness: CORE,
  simulator: ['bytes', 'crypto', 'evidence'],
  workload: ['reason', 'bytes', 'crypto', 'challenge', 'translog', 'simulator'],
  audit: ['reason', 'bytes', 'crypto', 'translog'],
};

/** Siblings that do not know each other, but for those named behind. */
const SEPARATE = [
  ['evidence', 'tpm'],
  ['evidence', 'hcl'],
  ['evidence', 'snp'],
  ['evidence', 'tdx'],
  ['evidence', 'gpu'],
  ['evidence', 'authority'],
  ['http', 'native'],
  ['http', 'log'],
  ['http', 'witness'],
  ['store', 'rows'],
  ['store', 'sqlite', 'rows'],
  ['store', 'postgres', 'rows'],
  ['store', 'checkpoint-file'],
  ['store', 'witness'],
];

const rooms = Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
  name: `${folder}-imports-only-its-own`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: `^src/(?:${[folder, ...allowed].join('|')})/` },
}));

const separate = SEPARATE.map(([parent, child, ...known]) => ({
  name: `${parent}-${child}-knows-no-sibling`,
  severity: 'error',
  from: { path: `^src/${parent}/${child}/` },
  to: { path: `^src/${parent}/[^/]+/`, pathNot: `^src/${parent}/(?:${[child, ...known].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...rooms,
    ...separate,
    {
      name: 'every-folder-has-a-rule',
      comment: 'a folder of src/ that is not in the table above',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(?:${[...Object.keys(MAY_IMPORT), 'cli'].join('|')})/` },
      to: {},
    },
    {
      name: 'core-does-no-io',
      comment: 'the core takes clock, randomness, files and sockets as arguments',
      severity: 'error',
      from: { path: `^src/(?:${CORE.join('|')})/` },
      to: { dependencyTypes: ['core'], pathNot: '^(?:node:)?(?:crypto|buffer|util)$' },
    },
    {
      name: 'simulator-sees-evidence-types-and-constants-only',
      severity: 'error',
      from: { path: '^src/simulator/' },
      to: {
        path: '^src/evidence/',
        pathNot:
          '^src/evidence/(?:tpm/(?:constants|structures)|(?:hcl|snp|tdx|gpu)/(?:constants|evidence)|evidence)\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    { name: 'nothing-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
