import { join } from 'node:path';
import { defaultClientConditions, defineConfig } from 'vite';

/**
 * The dock as one classic script: pages of other origins load it without CORS, and it knows by its own address where its
 * server is.
 */
export default defineConfig({
  root: import.meta.dirname,
  // The package of this repository as it is written, without a build.
  resolve: { conditions: ['@switchboard/source', ...defaultClientConditions] },
  build: {
    target: 'es2022',
    outDir: join(import.meta.dirname, '../../dist/web'),
    // It stands beside the chat page.
    emptyOutDir: false,
    lib: { entry: 'src/main.ts', formats: ['iife'], name: 'SwitchboardDock', fileName: () => 'dock.js' },
  },
});
