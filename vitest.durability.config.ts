import { defineConfig } from 'vitest/config';
import { everySuite } from './vitest.config.ts';

// The suites that end, stop and cut off processes at random moments, and the explorer: npm run durability.
export default defineConfig({
  ...everySuite,
  test: {
    ...everySuite.test,
    include: [
      'test/durability/long/**/*.test.ts',
      'test/durability/interleavings.test.ts',
      'test/instances/redis-outages.test.ts',
    ],
    // They wait for leases most of the time.
    maxWorkers: 3,
  },
});
