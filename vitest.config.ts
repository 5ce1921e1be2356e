import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vite would take graphql's ES modules for our files while the libraries take its CommonJS: two copies.
  resolve: { alias: [{ find: /^graphql$/, replacement: join(import.meta.dirname, 'node_modules/graphql/index.js') }] },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/browser/**', 'test/durability/long/**'],
    globalSetup: ['test/support/database/template.ts'],
    // An embedded database is opened and closed around many tests: this is room, not an expectation.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // As are these: a poll that is met ends at once.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    maxWorkers: 2,
    passWithNoTests: false,
  },
});
