import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { build, type Plugin } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import codegenConfig from '../../codegen.ts';
import { runCodegen } from '../../scripts/run-codegen.ts';
import { mintDevelopmentToken } from '../../src/auth/development.ts';
import { launchBrowser, startAsItsUser } from '../support/browser.ts';

const root = join(import.meta.dirname, '../..');

/** A front end's settings, as its build tool creates them. */
const compilerOptions = {
  target: 'es2023',
  lib: ['es2023', 'dom', 'dom.iterable'],
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  noEmit: true,
};

/** What is put around the snippets: pages that call them. `usage` is the snippet that renders a turn. */
const pages = {
  apollo: (usage: string) => `
    import { ask, openClient, startConversation } from './apollo';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  urql: (usage: string) => `
    import { ask, openClient, startConversation } from './urql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  'urql-over-sse': (usage: string) => `
    import { ask, startConversation } from './urql';
    import { openClient } from './urql-sse';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage}`,
  'apollo-over-sse': (usage: string) => `
    import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
    import { OperationTypeNode } from 'graphql';
    import { ask, startConversation } from './apollo';
    import { createSseLink } from './apollo-sse';
    import fragments from './generated/possible-types';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const openClient = (url: string, getToken: () => Promise<string>) => new ApolloClient({
      link: ApolloLink.split(
        ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
        createSseLink(url, getToken),
        new HttpLink({ uri: url, headers: { authorization: \`Bearer \${token}\` } }),
      ),
      cache: new InMemoryCache({ possibleTypes: fragments.possibleTypes }),
    });
    ${usage}`,
  relay: (usage: string) => `
    import { ask, openEnvironment, startConversation } from './relay';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    ${usage.replace('openClient', 'openEnvironment')}`,
  graphcache: () => `
    import { createClient } from 'graphql-ws';
    import { Client, fetchExchange, subscriptionExchange } from 'urql';
    import { ask, startConversation } from './urql';
    import { ConversationListDocument, ViewerEventsDocument } from './generated/graphql';
    import { graphcache } from './urql-graphcache';
    declare const token: string;
    const url = 'http://127.0.0.1:4000/graphql';
    const headers = { authorization: \`Bearer \${token}\` };
    let requests = 0;
    const socket = createClient({ url: url.replace(/^http/, 'ws'), connectionParams: headers });
    const open = () => new Client({
      url,
      preferGetMethod: false,
      fetchOptions: { headers },
      fetch: (input, init) => { requests++; return fetch(input, init); },
      exchanges: [
        graphcache(),
        fetchExchange,
        subscriptionExchange({
          forwardSubscription: ({ query = '', variables }) => ({
            subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
          }),
        }),
      ],
    });
    const [client, other] = [open(), open()];
    const list = async (from: typeof client) => {
      const { data } = await from.query(ConversationListDocument, {}, { requestPolicy: from === client ? 'cache-only' : 'network-only' });
      const nodes = (data?.conversations.edges ?? []).map(({ node }) => node);
      return JSON.stringify(nodes.sort((a, b) => a.updatedAt < b.updatedAt ? 1 : -1));
    };
    const { data } = await client.query(ConversationListDocument, {});
    const types: string[] = [];
    client.subscription(ViewerEventsDocument, { after: data?.viewer.lastEventSeq }).subscribe(({ data }) => {
      if (data) types.push(data.viewerEvents.__typename);
    });
    const afterRead = requests;
    const id = await startConversation(other, 'support');
    const ended = new Promise<void>((resolve) => {
      let seen = false;
      ask(other, id, 'Where is my order 1042?', ({ __typename }) => {
        if (!seen && __typename === 'RunCompleted') resolve();
        seen ||= __typename === 'RunCompleted';
      });
    });
    await ended;
    for (let tries = 0; types.filter((type) => type === 'RunChanged').length < 2 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const made = requests - afterRead;
    const [cached, fresh] = [await list(client), await list(other)];
    document.body.textContent = cached === fresh && cached.includes(id) ? \`EQUAL after \${made} request\` : \`\${cached} IS NOT \${fresh}\`;
  `,
  refund: () => `
    import { ask, openClient, startConversation } from './apollo';
    import { ApproveToolCallDocument } from './generated/graphql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const client = openClient('http://127.0.0.1:4000/graphql', async () => token);
    const conversationId = await startConversation(client, 'support');
    const texts = new Map<string, string>();
    const events: string[] = [];
    ask(client, conversationId, 'Please refund order 1046', (event) => {
      events.push(event.__typename);
      if (event.__typename === 'TextDelta' || event.__typename === 'TextRetracted') applyText(texts, event);
      if (event.__typename === 'ApprovalRequested') {
        const variables = { toolCallId: event.toolCall.id, approve: true };
        void client.mutate({ mutation: ApproveToolCallDocument, variables });
      }
      document.body.textContent = [...events.filter((name) => name !== 'TextDelta'), ...texts.values()].join(' ');
    });`,
  reload: () => `
    import { ask, openClient, startConversation } from './apollo';
    import { OpenConversationDocument, RunEventsDocument } from './generated/graphql';
    import { applyText } from './turn-text.ts';
    declare const token: string;
    const open = () => openClient('http://127.0.0.1:4000/graphql', async () => token);
    const client = open();
    const conversationId = await startConversation(client, 'support');
    // As soon as the turn writes, another page opens the conversation, and the first one stops listening.
    let isReloaded = false;
    const first = ask(client, conversationId, 'Where is my order 1042?', (event) => {
      if (event.__typename !== 'TextDelta' || isReloaded) return;
      isReloaded = true;
      first.unsubscribe();
      void readOn(open());
    });
    async function readOn(again: ReturnType<typeof open>) {
      const { data } = await again.query({ query: OpenConversationDocument, variables: { id: conversationId } });
      const messages = data?.conversation?.messages.edges.map(({ node }) => node) ?? [];
      const texts = new Map(messages.filter(({ role }) => role === 'ASSISTANT').map(({ id, content }) => [id, content]));
      const run = data?.conversation?.activeRun;
      const show = (end: string) => { document.body.textContent = [...texts.values(), end].join(' '); };
      if (!run) return show('ENDED');
      const variables = { runId: run.id, after: run.lastSeq };
      again.subscribe({ query: RunEventsDocument, variables }).subscribe(({ data }) => {
        const event = data?.runEvents;
        if (event?.__typename === 'TextDelta' || event?.__typename === 'TextRetracted') applyText(texts, event);
        show(event?.__typename === 'RunCompleted' ? 'ENDED' : '');
      });
    }`,
} as const;

const resources = new AsyncDisposableStack();
let project: string;
let browser: Browser;
let pageOrigin: string;
let token: string;

beforeAll(async () => {
  await mkdir(join(root, 'dist'), { recursive: true });
  project = resources.adopt(await mkdtemp(join(root, 'dist/clients-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  pageOrigin = await servePages();
  const url = await startAsItsUser(resources, project, { ALLOWED_ORIGINS: pageOrigin });
  const claims = { sub: 'alice', tenant: 'default', roles: [], ttlSeconds: 3_600 };
  token = await mintDevelopmentToken(join(project, '.data'), claims);
  await writeProject(url);
  browser = await launchBrowser(resources);
});
afterAll(() => resources.disposeAsync());

describe('The snippets of README.md and docs/clients.md', () => {
  test('Their documents fit the schema, and a copy of codegen.ts generates their types.', async () => {
    await copyFile(join(root, 'codegen.ts'), join(project, 'codegen.ts'));
    await copyFile(join(root, 'schema.graphql'), join(project, 'schema.graphql'));
    expect(await runCodegen(codegenConfig, project)).toEqual([]);
    const possibleTypes = await readFile(join(project, 'src/generated/possible-types.ts'), 'utf8');
    expect(possibleTypes).toMatch(/RunEvent[\s\S]*RunCompleted/);
  });

  test('The artifacts of the documents in the Relay snippet are generated by relay-compiler.', () => {
    const compiler = join(root, 'node_modules/relay-compiler/cli.js');
    const { stderr, status } = spawnSync(process.execPath, [compiler, 'relay.config.json'], {
      cwd: project,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
  });

  test('They compile against the generated types.', async () => {
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', project], { encoding: 'utf8' });
    expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
  });

  test('They are bundled for a browser.', async () => {
    const input = Object.fromEntries(Object.keys(pages).map((name) => [name, join(project, `src/page-${name}.ts`)]));
    await build({
      root: project,
      configFile: false,
      logLevel: 'error',
      plugins: [importRelayArtifacts],
      define: { __DEV__: 'true', 'process.env.NODE_ENV': '"development"' },
      build: {
        target: 'esnext',
        minify: false,
        outDir: 'out',
        rollupOptions: { input, output: { entryFileNames: '[name].js', chunkFileNames: 'chunk-[name].js' } },
      },
    });
  });

  test.each(['apollo', 'urql', 'relay', 'urql-over-sse', 'apollo-over-sse'] as const)(
    'A page with %s streams a turn.',
    async (name) => {
      const { text, troubles } = await openPage(name);
      await expect.poll(text, { timeout: 60_000 }).toMatch(/order 1042/);
      expect(troubles).toEqual([]);
    },
  );

  test('A list in graphcache that viewerEvents keeps in step equals what the server lists, without a further request.', async () => {
    const { text, troubles } = await openPage('graphcache');
    // The one request is the mutation of the other client.
    await expect.poll(text, { timeout: 60_000 }).toBe('EQUAL after 1 request');
    expect(troubles).toEqual([]);
  });

  test('A page asks for the refund in the scenario, approves it, and the turn goes on to its end.', async () => {
    const { text, troubles } = await openPage('refund');
    await expect.poll(text, { timeout: 60_000 }).toMatch(/ApprovalRequested .*RunCompleted .*refund/i);
    expect(troubles).toEqual([]);
  });

  test('A page that is opened in the middle of a turn shows the whole answer.', async () => {
    const { text, troubles } = await openPage('reload');
    await expect.poll(text, { timeout: 60_000 }).toMatch(/order 1042[\s\S]*ENDED$/);
    const answer = await text();
    expect(answer.match(/order 1042/g)).toHaveLength(1);
    expect(troubles).toEqual([]);
  });
});

/** Does what babel-plugin-relay does in a front end: each document in the code becomes an import of its artifact. */
const importRelayArtifacts: Plugin = {
  name: 'relay-artifacts',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('/src/relay.ts')) return null;
    const imports: string[] = [];
    const replaced = code.replace(/graphql`\s*\w+ (\w+)[^`]*`/g, (_document, name: string) => {
      imports.push(`import ${name} from './__generated__/${name}.graphql';`);
      return name;
    });
    return [...imports, replaced].join('\n');
  },
};

/** The code blocks of a section with their language and the file that the text before them names, if any. */
function listBlocks(markdown: string): { language: string; code: string; file: string | undefined }[] {
  return [...markdown.matchAll(/^ *```(\w+)\n([\s\S]*?)^ *```$/gm)].map((block) => {
    const [, language = '', code = ''] = block;
    const before =
      markdown
        .slice(0, block.index)
        .trimEnd()
        .split(/\n\n|```\n/)
        .at(-1) ?? '';
    return { language, code, file: /`(src\/[\w.-]+|relay\.config\.json)`/.exec(before)?.[1] };
  });
}

async function writeProject(url: string): Promise<void> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('\n## Clients'), readme.indexOf('\n## The architecture'));
  const page = listBlocks(await readFile(join(root, 'docs/clients.md'), 'utf8'));
  const blocks = listBlocks(section);
  const files = new Map(blocks.flatMap(({ file, code }) => (file === undefined ? [] : [[file, code]])));
  expect([...files.keys()]).toEqual(['src/chat.graphql', 'src/apollo.ts', 'src/urql.ts']);
  const usage = blocks.find(({ language, file }) => language === 'ts' && file === undefined)?.code ?? '';
  expect(usage).toContain('applyText');
  const [urqlSse = '', apolloSse = '', follow = '', ...others] = page.flatMap(({ language, code, file }) =>
    language === 'ts' && file === undefined ? [code] : [],
  );
  for (const { language, code, file } of page) {
    if (file !== undefined && (language === 'ts' || language === 'json')) files.set(file, code);
  }
  expect(others).toEqual([]);
  files.set('src/urql-sse.ts', urqlSse).set('src/apollo-sse.ts', apolloSse).set('src/follow-viewer.ts', follow);
  files.set(
    'src/more.graphql',
    page.flatMap(({ language, code }) => (language === 'graphql' ? [code] : [])).join('\n'),
  );
  for (const example of ['turn-text.ts', 'conversation-list.ts']) {
    files.set(`src/${example}`, await readFile(join(root, 'examples', example), 'utf8'));
  }
  for (const [name, write] of Object.entries(pages)) files.set(`src/page-${name}.ts`, write(usage));
  await mkdir(join(project, 'src'));
  for (const [file, code] of files) {
    await writeFile(join(project, file), code.replaceAll('http://127.0.0.1:4000/graphql', url));
  }
}

/** Serves the bundle from an origin of its own, as the server of a front end does. */
async function servePages(): Promise<string> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    if (name.endsWith('.js')) {
      readFile(join(project, 'out', name)).then(
        (code) => response.setHeader('content-type', 'text/javascript').end(code),
        () => response.writeHead(404).end(),
      );
    } else {
      response
        .setHeader('content-type', 'text/html')
        .end(
          `<!doctype html><link rel="icon" href="data:,"><body></body><script>window.token = ${JSON.stringify(token)}</script>` +
            `<script type="module" src="/${name}.js"></script>`,
        );
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openPage(name: keyof typeof pages) {
  const page = await browser.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(String(error)));
  await page.goto(`${pageOrigin}/${name}`);
  return { text: () => page.locator('body').innerText(), troubles };
}
