import { defineConfig } from 'vitest/config';
import config from './vitest.config.ts';

// The suites that end, stop and cut off processes at random moments, and the explorer: npm run durability.
export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ['test/durability/long/**/*.test.ts', 'test/durability/interleavings.test.ts'],
    // The other suites leave these out.
    exclude: [],
    // They wait for leases most of the time.
    maxWorkers: 3,
  },
});
