import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import react from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

const server = process.env.SWITCHBOARD_URL ?? 'http://127.0.0.1:4000';
const root = import.meta.dirname;

const metaTag = /<meta name="(switchboard-\w+)"[^>]*>/g;

/** In development the page has what the server puts into its own page at this address: the token, and where calls begin. */
const metaOfServer: Plugin = {
  name: 'meta-of-server',
  apply: 'serve',
  async transformIndexHtml(html, { originalUrl = '/' }) {
    // A path that begins with two slashes would name another host.
    const page = await fetch(new URL(originalUrl.replace(/^\/+/, '/'), server)).then(
      (response) => response.text(),
      () => '',
    );
    const found = new Map([...page.matchAll(metaTag)].map(([tag, name]) => [name, tag]));
    return html.replace(metaTag, (tag: string, name: string) => found.get(name) ?? tag);
  },
};

const dock = join(root, '../dock');
const dockFiles: Readonly<Record<string, string>> = {
  '/dock-demo.css': 'text/css; charset=utf-8',
  '/dock-demo.js': 'text/javascript; charset=utf-8',
};

/** In development, /dock is the page of examples/dock with the dock as it is written, and not a chat at another address. */
const dockOfSource: Plugin = {
  name: 'dock-of-source',
  apply: 'serve',
  configureServer({ middlewares, transformIndexHtml }) {
    const read = async (path: string): Promise<{ type: string; text: string } | null> => {
      const file = (name: string) => readFile(join(dock, 'public', name), 'utf8');
      const type = dockFiles[path];
      if (type !== undefined) return { type, text: await file(path) };
      if (path !== '/dock') return null;
      const script = `<script type="module" src="/@fs/${join(dock, 'src/main.ts').replace(/^\//, '')}"></script>`;
      const html = (await file('dock.html')).replace('<script defer src="/dock.js"></script>', script);
      return { type: 'text/html; charset=utf-8', text: await transformIndexHtml(path, html) };
    };
    middlewares.use((request, response, next) => {
      const [path = '/'] = (request.url ?? '/').split('?');
      read(path).then((found) => {
        if (found === null) next();
        else response.setHeader('content-type', found.type).end(found.text);
      }, next);
    });
  },
};

export default defineConfig({
  root,
  plugins: [react(), metaOfServer, dockOfSource],
  // The package of this repository as it is written, without a build.
  resolve: { conditions: ['@switchboard/source', ...defaultClientConditions] },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/graphql': { target: server, ws: true },
      '/dock.js': server,
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
