import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

const server = process.env.SWITCHBOARD_URL ?? 'http://127.0.0.1:4000';
const root = import.meta.dirname;

/** In development the page has the token that the server puts into its own page, see src/token.ts. */
const tokenOfServer: Plugin = {
  name: 'token-of-server',
  apply: 'serve',
  async transformIndexHtml(html) {
    const page = await fetch(`${server}/`).then(
      (response) => response.text(),
      () => '',
    );
    const [meta] = /<meta name="switchboard-token"[^>]*>/.exec(page) ?? [];
    return meta === undefined ? html : html.replace(/<meta name="switchboard-token"[^>]*>/, meta);
  },
};

export default defineConfig({
  root,
  plugins: [react(), tokenOfServer],
  // The package of this repository as it is written, without a build.
  resolve: { conditions: ['@switchboard/source', ...defaultClientConditions] },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/graphql': { target: server, ws: true },
      '/attachments': server,
      '/exports': server,
    },
  },
  build: {
    target: 'es2023',
    outDir: join(root, '../../dist/web'),
    emptyOutDir: true,
    // The policy of the server lets no inline script run.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
