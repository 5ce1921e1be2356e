import { defineConfig } from 'vitest/config';
import { everySuite } from './vitest.config.ts';

// The suites that need a Chromium: npm run test:browser.
export default defineConfig({
  ...everySuite,
  test: {
    ...everySuite.test,
    include: ['test/browser/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 1,
  },
});
