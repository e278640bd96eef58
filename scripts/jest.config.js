/** ESM tests in TypeScript. Native ESM, since jose is ESM only; so no module mocks: tests hand in ports. */
export default {
  rootDir: '..',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/build/', '<rootDir>/dist/'],
  globalSetup: '<rootDir>/scripts/build-if-older.js',
  injectGlobals: false,
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'es6' } },
    ],
  },
  // Many tests start processes, and machines that test are slow at times.
  testTimeout: 90_000,
  // Jest would leave one core of two idle, and many tests wait for processes that they start.
  maxWorkers: 3,
  reporters: ['default', '<rootDir>/scripts/jest-summary.js'],
};
