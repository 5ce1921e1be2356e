import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphiQLOptions } from 'graphql-yoga';
import { otherDocuments, turnDocument } from './graphiql-tabs.ts';
import { isLocalBrowser } from './local-browser.ts';

/** What the page is prefilled with, so that the run button streams a turn. */
export interface Playground {
  readonly token: string;
  /** A conversation of the token's user without messages. */
  readonly conversationId: string;
}

/** Prepares a fresh page. Null: nothing is prefilled. */
export type PreparePlayground = () => Promise<Playground | null>;

/**
 * Creates the page of GraphiQL. It contains everything that it needs, so it works offline.
 * The token is filled in for browsers on this machine only, see isLocalBrowser.
 */
export function createGraphiqlPage(prepare: PreparePlayground) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const playground = isLocalBrowser(request) ? await prepare() : null;
    // Its scripts take 40 MB of memory, which a server whose page nobody opens need not have.
    const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
    const nonce = randomBytes(16).toString('base64');
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': writePolicy(nonce),
      'referrer-policy': 'no-referrer',
    });
    response.end(renderPage(renderGraphiQL, playground, nonce));
  };
}

function renderPage(
  render: (options: GraphiQLOptions) => string,
  playground: Playground | null,
  nonce: string,
): string {
  const headers = playground ? JSON.stringify({ authorization: `Bearer ${playground.token}` }, null, 2) : '{}';
  const variables = JSON.stringify(
    {
      input: {
        conversationId: playground?.conversationId ?? 'conv_…',
        content: 'Where is my order 1042, and can I get a refund?',
        idempotencyKey: `graphiql-${randomUUID()}`,
      },
    },
    null,
    2,
  );
  const options = {
    title: 'Switchboard',
    subscriptionsProtocol: 'WS' as const,
    headers,
    // GraphiQL fills the editors of the first tab from here, not from the tab.
    variables,
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: 'variables' as const,
    defaultTabs: [{ query: turnDocument, variables, headers }, ...otherDocuments.map((query) => ({ query, headers }))],
  } satisfies GraphiQLOptions & { variables: string };
  const page = render(options);
  // GraphiQL stores its tabs. Those of an earlier visit hold an old conversation and an old token, so they are removed.
  const visit = createHash('sha256').update(variables).update(headers).digest('hex');
  const clearOldTabs = `
    if (localStorage.getItem('switchboard:visit') !== '${visit}') {
      for (const key of Object.keys(localStorage)) if (key.startsWith('graphiql:')) localStorage.removeItem(key);
      localStorage.setItem('switchboard:visit', '${visit}');
    }`;
  return page.replace('<script>', () => `<script nonce="${nonce}">${clearOldTabs}</script><script nonce="${nonce}">`);
}

function writePolicy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    "style-src 'unsafe-inline'",
    'img-src data:',
    'font-src data:',
    'worker-src blob:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
