import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createWebPage } from '../../src/server/http/web-page.ts';

const token = 'eyJ.of-an.administrator';

/** Serves a page of two files, as it is built. */
async function servePage(
  resources: AsyncDisposableStack,
  options: { isBuilt?: boolean; mints?: boolean; callsUrl?: string } = {},
) {
  const { isBuilt = true, mints = true } = options;
  const folder = resources.adopt(await mkdtemp(join(tmpdir(), 'web-page-')), (path) => rm(path, { recursive: true }));
  const build = async () => {
    await mkdir(join(folder, 'assets'));
    await writeFile(join(folder, 'index.html'), '<meta name="switchboard-token" content="" />');
    await writeFile(join(folder, 'dock.html'), '<title>Dock</title><meta name="switchboard-token" content="" />');
    for (const name of ['dock.js', 'dock-demo.js', 'dock-demo.css']) await writeFile(join(folder, name), name);
    await writeFile(join(folder, 'assets/index-1.js'), 'start()');
  };
  if (isBuilt) await build();
  const page = createWebPage(mints ? async () => token : null, options.callsUrl, folder);
  const server = createServer((request, response) => void page.serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { page, build, ask: (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init) };
}

test('The chat page has a token for a browser on this machine only, and lets no foreign or inline script run', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask } = await servePage(resources);
  const response = await ask('/');
  expect(await response.text()).toBe(`<meta name="switchboard-token" content="${token}" />`);
  const policy = response.headers.get('content-security-policy');
  expect(policy).toContain(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
  );
  expect(policy).not.toContain('unsafe');
  expect(await (await ask('/', { headers: { 'x-forwarded-for': '10.0.0.1' } })).text()).not.toContain(token);
  expect(await (await ask('/admin/agents')).text()).toContain(token);
  // Whoever follows a link to a shared conversation is no administrator.
  expect(await (await ask('/shared/abc')).text()).not.toContain(token);
});

test('In production, the chat page has no token', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask } = await servePage(resources, { mints: false });
  expect(await (await ask('/')).text()).toBe('<meta name="switchboard-token" content="" />');
});

test('The files of the chat page are kept by browsers, and only those that were built are served', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask, page } = await servePage(resources);
  const script = await ask('/assets/index-1.js');
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(script.headers.get('cache-control')).toContain('immutable');
  expect(await script.text()).toBe('start()');
  const tag = script.headers.get('etag') ?? '';
  const again = await ask('/assets/index-1.js', { headers: { 'if-none-match': tag } });
  expect(again.status).toBe(304);
  expect((await ask('/assets/other.js')).status).toBe(404);
  expect((await ask('/', { method: 'POST', body: '{}' })).status).toBe(404);
  for (const path of ['/assets/../index.html', '/assets/', '/shared/', '/shared/a/b', '/index.html', '/graphql', '/x'])
    expect([path, page.isPath(path)]).toEqual([path, false]);
  for (const path of ['/administrator', '/admin/../graphql', '/admin//x', '/admin/a%2fb'])
    expect([path, page.isPath(path)]).toEqual([path, false]);
  for (const path of ['/admin', '/admin/', '/admin/agents', '/admin/agents/agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17'])
    expect([path, page.isPath(path)]).toEqual([path, true]);
});

test('The dock is a script that browsers ask for anew, and its page is as strict as the chat page', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask, page } = await servePage(resources);
  for (const path of ['/dock', '/dock.js', '/dock-demo.js', '/dock-demo.css']) expect(page.isPath(path)).toBe(true);
  const script = await ask('/dock.js');
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(script.headers.get('cache-control')).toBe('no-cache');
  const shown = await ask('/dock');
  expect(await shown.text()).toBe(`<title>Dock</title><meta name="switchboard-token" content="${token}" />`);
  expect(shown.headers.get('content-security-policy')).toBe((await ask('/')).headers.get('content-security-policy'));
  expect(await (await ask('/dock', { headers: { 'x-forwarded-for': '10.0.0.1' } })).text()).not.toContain(token);
});

test('The page of calls may ask the provider of calls, and no other page may', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask } = await servePage(resources, { callsUrl: 'https://models.example/v1/realtime/calls' });
  const policyOf = async (path: string) => (await ask(path)).headers.get('content-security-policy');
  expect(await policyOf('/voice')).toContain("connect-src 'self' https://models.example;");
  expect(await policyOf('/')).toContain("connect-src 'self';");
  expect(
    await (await servePage(resources)).ask('/voice').then(({ headers }) => headers.get('content-security-policy')),
  ).toBe(await policyOf('/'));
});

test('A chat page that is not built is not found, until it is', async () => {
  await using resources = new AsyncDisposableStack();
  const { ask, build } = await servePage(resources, { isBuilt: false });
  expect((await ask('/')).status).toBe(404);
  await build();
  expect((await ask('/')).status).toBe(200);
});
