import { defineConfig } from 'vitest/config';
import config from './vitest.config.ts';

// The suites that need a Chromium: npm run test:browser.
export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ['test/browser/**/*.test.ts'],
    // The other suites leave these out.
    exclude: [],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 1,
  },
});
