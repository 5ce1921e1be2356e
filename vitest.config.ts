import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** What looks at the state of modules, changes it or replaces a part of them: counters of metrics, spies, the environment. */
const apart = [
  'test/telemetry/**/*.test.ts',
  'test/engine/**/*.test.ts',
  'test/clients/clients.test.ts',
  'test/contacts/personal-data.test.ts',
  'test/durability/lease-watch.test.ts',
  'test/house/contract.test.ts',
  'test/instances/commands.test.ts',
  'test/knowledge/search.test.ts',
  'test/limits/answer-*.test.ts',
  'test/limits/fair-events.test.ts',
  'test/server/socket-limits.test.ts',
  'test/storage/{configuration-cache,connection-share,embedded-faults,migrations}.test.ts',
];

/** For every run of vitest; the suites that take long have configurations of their own. */
export const everySuite = defineConfig({
  // Vite would take graphql's ES modules for our files while the libraries take its CommonJS: two copies.
  resolve: { alias: [{ find: /^graphql$/, replacement: join(import.meta.dirname, 'node_modules/graphql/index.js') }] },
  test: {
    globalSetup: ['test/support/database/template.ts'],
    setupFiles: ['test/support/unfold-errors.ts'],
    // An embedded database is opened and closed around many tests: this is room, not an expectation.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // As are these: a poll that is met ends at once.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    // Tests wait most of their time, for timers, processes and databases: three at a time fill two cores.
    maxWorkers: 3,
    passWithNoTests: false,
  },
});

const elsewhere = ['test/browser/**', 'test/durability/long/**'];

/** What `npm test` runs. */
export const projects = [
  {
    extends: true as const,
    test: {
      name: 'together',
      include: ['test/**/*.test.ts'],
      exclude: [...elsewhere, ...apart],
      // The suites of a process share the modules of src: to load them anew for each took half of the CPU time of all
      // suites. So a suite leaves nothing behind in a module, and closes what it opens; or it is one of those apart.
      isolate: false,
    },
  },
  { extends: true as const, test: { name: 'apart', include: apart, exclude: [] } },
];

export default defineConfig({ ...everySuite, test: { ...everySuite.test, projects } });
