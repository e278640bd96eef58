import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Config, type ConfigInput, exposureFault, loadConfig } from '../../src/config/config.js';
import { explainConfig } from '../../src/config/explain.js';
import { SETTINGS, variableOf } from '../../src/config/settings.js';
import { noteSigner } from '../translog/note-signer.js';

const at = '/etc/portcullis/config.yaml';
const flags = { data_dir: '/data' };

function load(text: string, rest: Partial<ConfigInput> = {}) {
  return loadConfig({ file: { path: at, text }, env: {}, flags, ...rest });
}

function accepted(text: string, rest: Partial<ConfigInput> = {}): Config {
  const loaded = load(text, rest);
  if (!loaded.ok) throw new Error(loaded.errors.join('; '));
  return loaded.config;
}

function errorsOf(text: string, rest: Partial<ConfigInput> = {}): readonly string[] {
  const loaded = load(text, rest);
  return loaded.ok ? [] : loaded.errors;
}

describe('the file', () => {
  test('may be as the contract shows it, without what this version does not have', () => {
    const text = `
profile: production
data_dir: /var/lib/portcullis
listen: 0.0.0.0:8440
tls: { cert: server.pem, key: server.key, client_ca: optional.pem }
limits: { body: 1MiB, challenge_ttl: 120s, releases_per_second: 0 }   # 0 (default): unlimited
explain: full                         # or codes
`;
    expect(accepted(text, { flags: {} })).toEqual({
      profile: 'production',
      dataDir: '/var/lib/portcullis',
      listen: { host: '0.0.0.0', port: 8440 },
      tls: {
        cert: '/etc/portcullis/server.pem',
        key: '/etc/portcullis/server.key',
        clientCa: '/etc/portcullis/optional.pem',
      },
      challengeClientCa: undefined,
      store: undefined,
      limits: { bodyBytes: 1_048_576, challengeTtlMs: 120_000, releasesPerSecond: 0, enrolmentsPerSecond: 10 },
      endorsement: { crls: undefined, requireCrls: false },
      collateral: { dir: undefined },
      authorities: [],
      explain: 'full',
      log: { names: 'plain', checkpointFile: undefined, witnesses: [], quorum: 0 },
      archiveEvidence: false,
    });
  });

  test('may be empty: the defaults are those of the contract', () => {
    for (const text of ['', '# nothing\n', 'limits:\n', 'tls: {}\n', 'store: {}\nauthorities: []\nazure:\n']) {
      expect(accepted(text)).toEqual({
        profile: undefined,
        dataDir: '/data',
        listen: { host: '127.0.0.1', port: 8440 },
        tls: undefined,
        challengeClientCa: undefined,
        store: undefined,
        limits: { bodyBytes: 1_048_576, challengeTtlMs: 120_000, releasesPerSecond: 0, enrolmentsPerSecond: 10 },
        endorsement: { crls: undefined, requireCrls: false },
        collateral: { dir: undefined },
        authorities: [],
        explain: 'full',
        log: { names: 'plain', checkpointFile: undefined, witnesses: [], quorum: 0 },
        archiveEvidence: false,
      });
    }
  });

  test('file names in it are relative to it; absolute ones, and those of flags, stay', () => {
    const text = 'data_dir: data\ntls: { cert: ../pki/a.pem, key: /keys/a.key }\nchallenge: { client_ca: ca.pem }\n';
    const config = accepted(text, { flags: {} });
    expect([config.dataDir, config.tls, config.challengeClientCa]).toEqual([
      '/etc/portcullis/data',
      { cert: '/etc/pki/a.pem', key: '/keys/a.key' },
      '/etc/portcullis/ca.pem',
    ]);
    expect(accepted(text, { flags: { data_dir: 'here', 'tls.key': 'b.key' } })).toMatchObject({
      dataDir: 'here',
      tls: { key: 'b.key' },
    });
    const beside = loadConfig({ file: { path: 'portcullis.yaml', text: 'data_dir: data' }, env: {}, flags: {} });
    expect(beside).toMatchObject({ ok: true, config: { dataDir: 'data' } });
  });

  test.each([
    [
      'lissten: 127.0.0.1:8440',
      'unknown member "lissten"; known are profile, data_dir, listen, tls, challenge, store, limits, endorsement, collateral, authorities, log, archive, explain',
    ],
    [
      'limits: { bodi: 1MiB }',
      'unknown member "limits.bodi"; known are body, challenge_ttl, releases_per_second, enrolments_per_second',
    ],
    ['tls: { cert: a, key: b, x: c }', 'unknown member "tls.x"'],
    ['tls.cert: a.pem', 'tls.key: is missing'],
    ['__proto__: { listen: "0.0.0.0:1" }', 'unknown member "__proto__"'],
    ['constructor: 1', 'unknown member "constructor"'],
    ['limits: { __proto__: 1 }', 'unknown member'],
    ['1: 2', 'unknown member "1"'],
    ['tls: server.pem', 'tls: needs members: cert, key, client_ca'],
    ['tls: [a]', 'tls: needs members'],
    ['listen: { host: a }', 'listen: needs one value'],
    ['listen: [a]', 'listen: needs one value'],
    ['endorsement: { crl: a }', 'unknown member "endorsement.crl"; known are crls, require_crls'],
    ['endorsement: { crls: true }', 'endorsement.crls: needs one value'],
    ['endorsement: { crls: a, require_crls: 1 }', 'endorsement.require_crls: needs true or false'],
    ['endorsement: { crls: a, require_crls: "true" }', 'endorsement.require_crls: needs true or false'],
    ['endorsement: { require_crls: true }', 'since there are no CRLs; set endorsement.crls'],
    ['limits: { enrolments_per_second: -1 }', 'needs a whole number'],
    ['explain: true', 'explain: needs one value'],
    ['listen:', 'listen: needs one value'],
    ['- a', 'needs members and values'],
    ['just text', 'needs members and values'],
    ['listen: a:1\nlisten: b:2', 'not valid YAML (duplicate key)'],
    ['listen: "127.0.0.1:1', 'line 1: not valid YAML'],
    ["explain: full\nlisten: 'a", 'line 2: not valid YAML'],
    ['a: &x 1\nb: *x', 'aliases are not accepted'],
    ['explain: !!js/function full', 'not valid YAML'],
    ['explain: full\n---\nexplain: codes', 'not valid YAML (multiple docs)'],
    [`# ${'x'.repeat(256 * 1024)}`, 'larger than 256 KiB'],
  ])('%j is an error at start', (text, message) => {
    const errors = errorsOf(text);
    expect(errors.join('\n')).toContain(message);
  });

  test('names a directory of CRLs, and whether they are required', () => {
    const text = 'endorsement: { crls: crls, require_crls: true }\nlimits: { enrolments_per_second: 0 }';
    const config = accepted(text);
    expect(config.endorsement).toEqual({ crls: '/etc/portcullis/crls', requireCrls: true });
    expect(config.limits.enrolmentsPerSecond).toBe(0);
    expect(accepted('endorsement: { crls: /crls, require_crls: false }').endorsement).toEqual({
      crls: '/crls',
      requireCrls: false,
    });
    const env = { PORTCULLIS_ENDORSEMENT_CRLS: 'here', PORTCULLIS_ENDORSEMENT_REQUIRE_CRLS: 'true' };
    expect(accepted('', { env }).endorsement).toEqual({ crls: 'here', requireCrls: true });
  });

  test('names a directory of collateral', () => {
    expect(accepted('collateral: { dir: collateral }').collateral).toEqual({ dir: '/etc/portcullis/collateral' });
    expect(accepted('', { env: { PORTCULLIS_COLLATERAL_DIR: 'here' } }).collateral).toEqual({ dir: 'here' });
  });

  test('says what becomes of a certificate that no CRL speaks of', () => {
    const said = (text: string) => {
      const loaded = load(text);
      return loaded.ok ? explainConfig(loaded.config, loaded.origins).join('\n') : loaded.errors.join('\n');
    };
    expect(said('endorsement: { crls: /crls }')).toContain('the CRLs of /crls; one that no CRL speaks of is accepted');
    expect(said('endorsement: { crls: /crls, require_crls: true }')).toContain('one that no CRL speaks of is refused');
  });

  test('a bomb of aliases is refused without being unfolded', () => {
    const lines = Array.from(
      { length: 30 },
      (_, i) => `a${String(i + 1)}: &a${String(i + 1)} [*a${String(i)}, *a${String(i)}]`,
    );
    expect(errorsOf(`a0: &a0 [x]\n${lines.join('\n')}\n`).join()).toContain('aliases are not accepted');
  });

  test('every error in it is told, not the first alone', () => {
    expect(errorsOf('a: 1\nb: 2\nexplain: x\nlimits: { body: 1 }')).toHaveLength(4);
  });

  test.each([['azure: { resource: "https://vault.example" }', 'azure: this version has no Azure face']])(
    '%s is refused, since this version does not have it',
    (text, message) => {
      const errors = errorsOf(text);
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain(message);
      expect(errors[0]).not.toContain('hunter2');
    },
  );
});

describe('precedence', () => {
  const text = 'listen: 127.0.0.1:1\nexplain: codes\nlimits: { body: 2MiB, releases_per_second: 5 }';

  test('flags win over environment, environment over file, file over defaults', () => {
    const env = { PORTCULLIS_LISTEN: '127.0.0.1:2', PORTCULLIS_LIMITS_BODY: '3MiB', PORTCULLIS_DATA_DIR: '/env' };
    const loaded = load(text, { env, flags: { listen: '127.0.0.1:3' } });
    if (!loaded.ok) throw new Error(loaded.errors.join());
    expect(loaded.config.listen.port).toBe(3);
    expect(loaded.config.limits).toMatchObject({
      bodyBytes: 3 * 1024 * 1024,
      challengeTtlMs: 120_000,
      releasesPerSecond: 5,
    });
    expect(loaded.config.dataDir).toBe('/env');
    expect(loaded.origins).toMatchObject({
      listen: 'flag',
      'limits.body': 'environment',
      data_dir: 'environment',
      explain: 'file',
      'limits.releases_per_second': 'file',
      'limits.challenge_ttl': 'default',
      'tls.cert': 'default',
    });
  });

  test('a bad value that is overridden does no harm, one that is used is an error that names its place', () => {
    expect(accepted('listen: nonsense', { env: { PORTCULLIS_LISTEN: '127.0.0.1:2' } }).listen.port).toBe(2);
    expect(errorsOf('listen: 127.0.0.1:1', { env: { PORTCULLIS_LISTEN: 'nonsense' } })[0]).toMatch(
      /^PORTCULLIS_LISTEN: needs HOST:PORT/,
    );
    expect(errorsOf('', { flags: { ...flags, listen: 'x' } })[0]).toMatch(/^--listen: needs HOST:PORT/);
    expect(errorsOf('', { flags: { ...flags, 'tls.cert': '' } })[0]).toMatch(/^--tls-cert: /);
    expect(errorsOf('listen: x')[0]).toMatch(/^\/etc\/portcullis\/config\.yaml: listen: needs/);
  });

  test('values are never repeated in errors', () => {
    const canary = 'canary:canary:canary';
    const variables = Object.fromEntries(Object.keys(SETTINGS).map((path) => [variableOf(path), `${canary}\n`]));
    expect(errorsOf('', { env: variables }).length).toBeGreaterThan(8);
    expect(errorsOf('', { env: variables }).join()).not.toContain('canary');
  });
});

describe('the environment', () => {
  const warningsOf = (env: Record<string, string | undefined>) => {
    const loaded = loadConfig({ env, flags });
    return loaded.ok ? loaded.warnings : loaded.errors;
  };

  test('every setting has a variable', () => {
    expect(Object.keys(SETTINGS).map(variableOf)).toEqual([
      'PORTCULLIS_PROFILE',
      'PORTCULLIS_DATA_DIR',
      'PORTCULLIS_LISTEN',
      'PORTCULLIS_TLS_CERT',
      'PORTCULLIS_TLS_KEY',
      'PORTCULLIS_TLS_CLIENT_CA',
      'PORTCULLIS_CHALLENGE_CLIENT_CA',
      'PORTCULLIS_STORE_URL',
      'PORTCULLIS_LIMITS_BODY',
      'PORTCULLIS_LIMITS_CHALLENGE_TTL',
      'PORTCULLIS_LIMITS_RELEASES_PER_SECOND',
      'PORTCULLIS_LIMITS_ENROLMENTS_PER_SECOND',
      'PORTCULLIS_ENDORSEMENT_CRLS',
      'PORTCULLIS_ENDORSEMENT_REQUIRE_CRLS',
      'PORTCULLIS_COLLATERAL_DIR',
      'PORTCULLIS_AUTHORITIES',
      'PORTCULLIS_LOG_NAMES',
      'PORTCULLIS_LOG_CHECKPOINT_FILE',
      'PORTCULLIS_LOG_WITNESSES',
      'PORTCULLIS_LOG_QUORUM',
      'PORTCULLIS_ARCHIVE_EVIDENCE',
      'PORTCULLIS_EXPLAIN',
    ]);
  });

  test('a variable that is none of ours is a warning; those of the command are not', () => {
    expect(warningsOf({ PORTCULLIS_LISSTEN: 'x', PORTCULLIS_listen: 'y' })).toEqual([
      'PORTCULLIS_LISSTEN is not a setting that this version knows; it has no effect',
      'PORTCULLIS_listen is not a setting that this version knows; it has no effect',
    ]);
    const command = {
      PORTCULLIS_URL: 'http://a',
      PORTCULLIS_TOKEN: 'pc_a_b',
      PORTCULLIS_TOKEN_FILE: '-',
      PORTCULLIS_CA: 'a',
    };
    expect(warningsOf({ ...command, PATH: '/bin', PORTCULLIS: 'x', PORTCULLIS_EXPLAIN: undefined })).toEqual([]);
  });

  test('what this version does not have is an error there too', () => {
    for (const name of ['PORTCULLIS_AZURE', 'PORTCULLIS_AZURE_RESOURCE']) {
      const [error] = warningsOf({ [name]: 'canary' });
      expect(error).toMatch(new RegExp(`^${name}: this version`));
      expect(error).not.toContain('canary');
    }
  });
});

describe('what does not fit together', () => {
  test.each([
    ['tls: { cert: a }', 'tls.key: is missing'],
    ['tls: { key: a }', 'tls.cert: is missing'],
    ['tls: { client_ca: a }', 'tls.client_ca: works with TLS only'],
    ['challenge: { client_ca: a }', 'challenge.client_ca: works with TLS only'],
    ['tls: { cert: a, key: b, client_ca: c }\nchallenge: { client_ca: d }', 'is another file than tls.client_ca'],
  ])('%j is an error', (text, message) => {
    expect(errorsOf(text).join()).toContain(message);
  });

  test('both authorities may be the same file', () => {
    const text = 'tls: { cert: a, key: b, client_ca: c.pem }\nchallenge: { client_ca: ./c.pem }';
    expect(accepted(text)).toMatchObject({ challengeClientCa: '/etc/portcullis/c.pem' });
  });

  test('a data directory is needed', () => {
    expect(errorsOf('', { flags: {} })).toEqual(['data_dir: is missing; give --data-dir D']);
  });
});

describe('the production profile without TLS', () => {
  const listening = (host: string) => errorsOf(`profile: production\nlisten: "${host}:8440"`);

  test.each(['127.0.0.1', '127.1.2.3', '127.255.255.255', '[::1]', 'localhost', 'LOCALHOST'])(
    'listens on %s',
    (host) => {
      expect(listening(host)).toEqual([]);
    },
  );

  test.each([
    '0.0.0.0',
    '[::]',
    '10.0.0.1',
    '128.0.0.1',
    '127.0.0.256',
    '127.1',
    '127.0.0.1.example.com',
    'localhost.example.com',
    '[::ffff:127.0.0.1]',
    '[fe80::1]',
    'broker',
  ])('does not listen on %s, and says what to do', (host) => {
    const [error] = listening(host);
    expect(error).toContain('set tls.cert and tls.key, or listen on 127.0.0.1');
  });

  test('listens anywhere with TLS, and the development profile anywhere at all', () => {
    expect(errorsOf('profile: production\nlisten: 0.0.0.0:1\ntls: { cert: a, key: b }')).toEqual([]);
    expect(errorsOf('profile: development\nlisten: 0.0.0.0:1')).toEqual([]);
  });

  test('where only the data directory knows the profile, the root asks again', () => {
    const config = accepted('listen: 0.0.0.0:1');
    expect(config.profile).toBeUndefined();
    expect(exposureFault(config, 'production')).toContain('without TLS');
    expect(exposureFault(config, 'development')).toBeUndefined();
  });
});

describe('the witnesses of the log', () => {
  const [one, two] = ['witness.example/w1', 'witness.example/w2'].map((name) => noteSigner(name, 4).vkey) as [
    string,
    string,
  ];
  const logKey = noteSigner('broker.example/1', 1).vkey;
  const entry = (url: string, key: string) => `{ url: "${url}", key: "${key}" }`;
  const listed = (...entries: readonly string[]) => `log: { witnesses: [${entries.join(', ')}] }`;

  test('stand in the file as a list, in the environment as its JSON', () => {
    const text = `log:\n  quorum: 1\n  witnesses:\n    - url: https://a.example/w\n      key: ${one}\n    - ${entry('http://[::1]:8441', two)}\n`;
    const witnesses = [
      { url: 'https://a.example/w', key: one, name: 'witness.example/w1' },
      { url: 'http://[::1]:8441', key: two, name: 'witness.example/w2' },
    ];
    expect(accepted(text).log).toMatchObject({ witnesses, quorum: 1 });
    const json = JSON.stringify([{ url: 'https://a.example/w', key: one }]);
    const env = { PORTCULLIS_LOG_WITNESSES: json, PORTCULLIS_LOG_QUORUM: '0' };
    expect(accepted(text, { env }).log).toMatchObject({ witnesses: witnesses.slice(0, 1), quorum: 0 });
    expect(accepted(`log: { witnesses: [] }`).log).toMatchObject({ witnesses: [], quorum: 0 });
  });

  test.each([
    ['log: { witnesses: https://a.example }', 'log.witnesses: needs a list'],
    ['log: { witnesses: { url: a } }', 'log.witnesses: needs a list'],
    [listed('a'), 'witness 1: needs a list of witnesses'],
    [listed('[a]'), 'witness 1: needs'],
    [listed('{ url: "https://a.example" }'), 'witness 1: needs exactly url and key'],
    [listed(`{ url: "https://a.example", key: "${one}", name: "x" }`), 'witness 1: needs exactly url and key'],
    [listed(`{ url: 5, key: "${one}" }`), 'witness 1: needs exactly url and key'],
    [listed(`{ url: [[[[x]]]], key: { a: b } }`), 'witness 1: needs exactly url and key'],
    [listed(entry('a.example', one)), 'witness 1: url needs http:// or https://'],
    [listed(entry('ftp://a.example', one)), 'witness 1: url needs'],
    [listed(entry('https://user@a.example', one)), 'witness 1: url needs'],
    [listed(entry('https://:secret@a.example', one)), 'witness 1: url needs'],
    [listed(entry('https://a.example/?x=1', one)), 'witness 1: url needs'],
    [listed(entry('https://a.example/#x', one)), 'witness 1: url needs'],
    [listed(entry(`https://a.example/${'x'.repeat(1024)}`, one)), 'witness 1: url needs'],
    [listed(entry('https://a.example', 'x')), 'witness 1: key is not a vkey'],
    [listed(entry('https://a.example', one.slice(0, -4))), 'witness 1: key is not a vkey'],
    [listed(entry('https://a.example', one), entry('https://b.example', logKey)), 'witness 2: key is the key of a log'],
    [listed(entry('https://a.example', one), entry('https://b.example', one)), 'witness 2: has the key of another one'],
    [listed(...Array.from({ length: 16 }, () => entry('https://a.example', one))), 'at most 15 witnesses'],
    ['log: { quorum: 1 }', 'log.quorum: is larger than the number of witnesses, 0'],
    [`log: { quorum: 2, witnesses: [${entry('https://a.example', one)}] }`, 'number of witnesses, 1'],
    ['log: { quorum: 16 }', 'whole number from 0 to 15'],
    ['log: { quorum: -1 }', 'whole number from 0 to 15'],
  ])('%j is an error', (text, message) => {
    const errors = errorsOf(text);
    expect(errors.join('\n')).toContain(message);
    expect(errors.join('\n')).not.toContain(one.slice(-20));
  });

  test.each([
    '',
    'x',
    '{}',
    '[',
    '["a"]',
    '[null]',
    '[[]]',
    '[{"url":"https://a.example","url":"https://b.example","key":"x"}]',
  ])('%j in the environment is an error', (text) => {
    expect(errorsOf('', { env: { PORTCULLIS_LOG_WITNESSES: text } })[0]).toMatch(/^PORTCULLIS_LOG_WITNESSES: .*needs/);
  });

  test('are asked over https:// in production, unless they are on this machine', () => {
    const fault = (url: string, profile = 'production') =>
      errorsOf(`profile: ${profile}\n${listed(entry('https://b.example', two), entry(url, one))}`).join();
    for (const url of ['https://a.example', 'http://127.0.0.1:8441', 'http://[::1]:8441', 'http://localhost/w']) {
      expect(fault(url)).toBe('');
    }
    for (const url of ['http://a.example', 'http://10.0.0.1:8441', 'http://localhost.example', 'http://[fe80::1]/']) {
      expect(fault(url)).toContain(
        'log.witnesses: the production profile asks witnesses on other machines over https:// only',
      );
      expect(fault(url, 'development')).toBe('');
    }
    const config = accepted(listed(entry('http://a.example', one)));
    expect(exposureFault(config, 'production')).toContain('https:// only');
  });

  test('are explained by --check-config', () => {
    const explained = (quorum: number) => {
      const loaded = load(`log: { quorum: ${String(quorum)}, witnesses: [${entry('https://a.example/w', one)}] }`);
      if (!loaded.ok) throw new Error(loaded.errors.join());
      return explainConfig(loaded.config, loaded.origins);
    };
    expect(explained(1)).toContain('log.witnesses: witness.example/w1 at https://a.example/w (file)');
    expect(explained(1)).toContain(
      'a release is answered when 1 of 1 witnesses have cosigned its record, or not at all',
    );
    expect(explained(0)).toContain('no release waits for witnesses; what they cosign is published with the log');
  });
});

describe('--check-config', () => {
  test('says what would be used and why', () => {
    const loaded = load('tls: { cert: a.pem, key: a.key }\nlisten: "[::]:8440"', {
      env: { PORTCULLIS_LIMITS_BODY: '2MiB' },
      flags: { ...flags, profile: 'production', 'challenge.client_ca': 'ca.pem' },
    });
    if (!loaded.ok) throw new Error(loaded.errors.join());
    expect(explainConfig(loaded.config, loaded.origins)).toEqual([
      'profile: production (flag)',
      'data_dir: /data (flag)',
      'listen: [::]:8440 (file)',
      'tls.cert: /etc/portcullis/a.pem (file)',
      'tls.key: /etc/portcullis/a.key (file)',
      'tls.client_ca: not set (every client must show a certificate under this authority, PEM)',
      'challenge.client_ca: ca.pem (flag)',
      'store.url: not set (the PostgreSQL database that replicas share, postgres://USER@HOST/DATABASE; unset: SQLite in data_dir)',
      'limits.body: 2097152 bytes (environment)',
      'limits.challenge_ttl: 120s (default)',
      'limits.releases_per_second: 0, unlimited (default)',
      'limits.enrolments_per_second: 10 (default)',
      'endorsement.crls: not set (a directory with CRLs of TPM makers and clouds, *.crl and *.pem; unset: none are looked at)',
      'endorsement.require_crls: false (default)',
      'collateral.dir: not set (a directory with what makers of hardware publish: TCB info, QE identity, CRLs, RIMs; unset: collateral in data_dir, if it is there)',
      'authorities: none (default)',
      'log.names: plain (default)',
      'log.checkpoint_file: not set (keeps the newest checkpoint outside the database, best on another volume; unset: log.checkpoint in data_dir)',
      'log.witnesses: none (default)',
      'log.quorum: 0 (default)',
      'archive.evidence: off (default)',
      'explain: full (default)',
      'serves HTTPS, TLS 1.2 or later; reachable from other machines',
      'asking for a challenge, and enrolling an AK, needs a client certificate (challenge.client_ca)',
      'certificates of EKs and AKs are not looked up in CRLs, since there are none (endorsement.crls)',
    ]);
  });

  test('says so when the profile is not given', () => {
    const loaded = load('limits: { releases_per_second: 7 }');
    if (!loaded.ok) throw new Error(loaded.errors.join());
    const lines = explainConfig(loaded.config, loaded.origins);
    expect(lines).toContain('limits.releases_per_second: 7 (file)');
    expect(lines).toContain('serves HTTP without TLS; reachable from this machine only');
    expect(lines.at(-1)).toBe('the profile is the one that init fixed in data_dir');
  });
});

test('no text and no environment makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.string(), (text, value) => {
      const variables = Object.fromEntries(Object.keys(SETTINGS).map((path) => [variableOf(path), value]));
      expect(typeof load(text, { env: variables }).ok).toBe('boolean');
      expect(typeof load(text).ok).toBe('boolean');
    }),
  );
  const yamlish = fc.stringMatching(/^(?:[a-z_]{1,6}|[-:?{}[\],&*!|>'"%@`# \n]){0,40}$/);
  fc.assert(fc.property(yamlish, (text) => typeof load(text).ok === 'boolean'));
});
