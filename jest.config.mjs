/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/tests/**/*.test.ts'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  // Sources import each other by the names that they will have once compiled.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/runs', '<rootDir>/\\.ammd'],
  // In one process: tests that start a worker must not compete for the cores.
  maxWorkers: 1,
  // Against hangs only: what takes a minute here may take six on a machine that is loaded.
  testTimeout: 900_000,
  coverageProvider: 'babel', // counts statements; v8 counts lines, and those of types as never run
  coverageReporters: [['text', { skipFull: true }], 'json-summary'],
  collectCoverageFrom: ['ts/**/*.{ts,mjs}', 'protocol/**/*.ts', '!**/*.gen.ts', '!**/*.d.ts'],
  coverageThreshold: { global: { lines: 90 } },
};
