import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { graphqlPath, readPath } from '../requests/path.ts';
import { respondError } from '../requests/respond.ts';
import { isLocalBrowser } from './local-browser.ts';

/** Where `npm run web -- --build` puts the page. */
const defaultFolder = join(import.meta.dirname, '../../../dist/web');

const mediaTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing but what this server sends with the page runs, is shown or is asked for. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface PageFile {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly tag: string;
}

interface Page {
  readonly html: string;
  /** A page with the dock of examples/dock in it. */
  readonly dockHtml: string;
  /** By their paths. */
  readonly files: ReadonlyMap<string, PageFile>;
}

/** The admin pages: the same page, which shows them by its address. */
const adminPath = /^\/admin(?:\/[\w-]+)*\/?$/;

/** Calls by voice: the same page, which may ask the provider of the calls, too. */
const voicePath = '/voice';

/** The dock, which pages of any origin load, and the page that shows it. Their names do not change with their contents. */
const dockPath = '/dock';
const dockFiles = ['dock.js', 'dock-demo.js', 'dock-demo.css'];

/**
 * The page of examples/web, at `/`, at `/admin` and below, at `/voice`, and at the addresses of shared conversations; and the dock of
 * examples/dock, at `/dock.js`, with a page that shows it at `/dock`.
 */
export interface WebPage {
  readonly isPath: (path: string) => boolean;
  readonly serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

/**
 * Serves the built page. Its files are few: they are read once, when the page is first asked for.
 * @param mintToken makes a token for a browser on this machine, as GraphiQL has one; null: people bring their own
 * @param callsUrl where calls by voice begin, for the page at `/voice`; null: the model is the demo's
 */
export function createWebPage(
  mintToken: (() => Promise<string>) | null,
  callsUrl: string | null = null,
  folder = defaultFolder,
): WebPage {
  let page: Promise<Page | null> | undefined;
  const open = async () => {
    page ??= readPage(folder);
    const found = await page;
    // It may be built while the server runs.
    if (found === null) page = undefined;
    return found;
  };
  return {
    isPath: (path) =>
      path === '/' ||
      path === dockPath ||
      path === voicePath ||
      dockFiles.includes(path.slice(1)) ||
      adminPath.test(path) ||
      /^\/(?:assets|shared)\/[\w.-]+$/.test(path),
    async serve(request, response) {
      const path = readPath(request);
      const found = await open();
      const file = found?.files.get(path);
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (found === null || !isRead || (/\.\w+$/.test(path) && !file && !path.startsWith('/shared/'))) {
        return respondError(response, 404, 'NOT_FOUND', `Not found. The GraphQL endpoint is ${graphqlPath}.`);
      }
      if (file) return sendFile(request, response, path, file);
      // Whoever follows a link to a shared conversation gets none.
      const isOwn = path === '/' || path === dockPath || path === voicePath || adminPath.test(path);
      const token = isOwn && mintToken !== null && isLocalBrowser(request) ? await mintToken() : '';
      const written = path === dockPath ? found.dockHtml : found.html;
      const calls = path === voicePath && callsUrl !== null ? new URL(callsUrl) : null;
      // A token of ours is base64url with points, and quotes are encoded in URLs: nothing has to be escaped.
      const html = written
        .replace('name="switchboard-token" content=""', () => `name="switchboard-token" content="${token}"`)
        .replace(
          'name="switchboard-calls" content=""',
          () => `name="switchboard-calls" content="${calls?.href ?? ''}"`,
        );
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': calls ? policy.replace("connect-src 'self'", `$& ${calls.origin}`) : policy,
        'referrer-policy': 'no-referrer',
      });
      response.end(request.method === 'HEAD' ? undefined : html);
    },
  };
}

function sendFile(request: IncomingMessage, response: ServerResponse, path: string, file: PageFile): void {
  // The names of assets change with their contents.
  response.setHeader('cache-control', path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache');
  response.setHeader('etag', file.tag);
  if (request.headers['if-none-match'] === file.tag) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, { 'content-type': file.mediaType, 'content-length': file.bytes.length });
  response.end(request.method === 'HEAD' ? undefined : file.bytes);
}

/** Null: it is not built. */
async function readPage(folder: string): Promise<Page | null> {
  try {
    const html = await readFile(join(folder, 'index.html'), 'utf8');
    const dockHtml = await readFile(join(folder, 'dock.html'), 'utf8');
    const names = [...dockFiles, ...(await readdir(join(folder, 'assets'))).map((name) => `assets/${name}`)];
    const files = await Promise.all(
      names.map(async (name): Promise<[string, PageFile]> => {
        const bytes = await readFile(join(folder, name));
        const tag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
        return [`/${name}`, { bytes, tag, mediaType: mediaTypes[extname(name)] ?? 'application/octet-stream' }];
      }),
    );
    return { html, dockHtml, files: new Map(files) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
