import { join } from 'node:path';
import { defineConfig, mergeConfig } from 'vite';
import web from '../web/vite.config.ts';

/** As the chat page is built and served: with a token in development, and GraphQL under the same origin. */
export default mergeConfig(
  web,
  defineConfig({
    root: import.meta.dirname,
    base: './',
    publicDir: join(import.meta.dirname, '../web/public'),
    build: { outDir: join(import.meta.dirname, '../../dist/apollo') },
  }),
);
