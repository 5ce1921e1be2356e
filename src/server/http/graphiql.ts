import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import type { GraphiQLOptions } from 'graphql-yoga';

/** What the page is filled in with, so that pressing play streams a turn. */
export interface Playground {
  readonly token: string;
  /** A conversation of the token's user in which nothing was said yet. */
  readonly conversationId: string;
}

/** What a fresh page asks, and who for. Null: the page comes empty. */
export type PreparePlayground = () => Promise<Playground | null>;

const turnDocument = `# Press play: an agent answers, hands off to a
# colleague and uses a tool, as it happens.
#
# The same idempotencyKey attaches to the turn that
# it started, from any tab, and plays its events
# again. For another turn, change key and content:
# "Please refund order 1046." waits for you: answer
# in the tab ApproveToolCall, then press play here
# again.
subscription Turn($input: ChatTurnInput!) {
  chatTurn(input: $input) {
    __typename
    seq
    ... on MessageStarted { agent { name } }
    ... on TextDelta { delta }
    ... on ToolCallStarted {
      toolCall { name arguments }
    }
    ... on ToolCallCompleted {
      toolCall { name status result }
    }
    ... on ApprovalRequested {
      runId
      toolCall { id name arguments }
    }
    ... on HandoffOccurred {
      handoff { toAgent { name } reason }
    }
    ... on RunCompleted {
      run {
        handoffs { fromAgent { name } toAgent { name } }
        toolCalls { name status result }
        messages { agent { name } content }
      }
    }
    ... on RunFailed { error { code message } }
  }
}
`;

const createDocument = `# A conversation of your own: pass its id to chatTurn as conversationId.
mutation CreateConversation {
  createConversation(input: { title: "My first conversation", scenarioKey: "support" }) {
    id
    activeAgent { name }
  }
}
`;

const approveDocument = `# Answers ApprovalRequested: put in its runId and the id of its toolCall. GraphiQL leaves a stream when its tab is
# left; the turn goes on, and its tab attaches to it again.
mutation ApproveToolCall {
  approveToolCall(runId: "run_…", toolCallId: "call_…", approve: true) {
    status
    toolCalls { id name arguments status }
  }
}
`;

const readDocument = `# What is stored of your conversations.
query Conversations {
  conversations(first: 10) {
    totalCount
    edges {
      node {
        id
        title
        activeAgent { name }
        messages(first: 50) { edges { node { role content agent { name } toolCalls { name status } } } }
      }
    }
  }
}
`;

/**
 * Makes the page of GraphiQL: everything it needs is in it, so it works offline.
 *
 * The token is filled in only for a browser on this machine that knows it by its own name. Under any other name the
 * page might be another site's that points to this address (DNS rebinding), and from elsewhere it might be anybody.
 */
export function createGraphiqlPage(prepare: PreparePlayground) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const playground = isLocal(request) ? await prepare() : null;
    const nonce = randomBytes(16).toString('base64');
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': writePolicy(nonce),
      'referrer-policy': 'no-referrer',
    });
    response.end(renderPage(playground, nonce));
  };
}

function renderPage(playground: Playground | null, nonce: string): string {
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
    // The editors of the first tab are filled from here, not from the tab.
    variables,
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: 'variables' as const,
    defaultTabs: [
      { query: turnDocument, variables, headers },
      { query: approveDocument, headers },
      { query: createDocument, headers },
      { query: readDocument, headers },
    ],
  } satisfies GraphiQLOptions & { variables: string };
  const page = renderGraphiQL(options);
  // GraphiQL remembers its tabs. Those of another visit hold an old conversation and an old token: begin anew.
  const visit = createHash('sha256').update(variables).update(headers).digest('hex');
  const forget = `
    if (localStorage.getItem('switchboard:visit') !== '${visit}') {
      for (const key of Object.keys(localStorage)) if (key.startsWith('graphiql:')) localStorage.removeItem(key);
      localStorage.setItem('switchboard:visit', '${visit}');
    }`;
  return page.replace('<script>', () => `<script nonce="${nonce}">${forget}</script><script nonce="${nonce}">`);
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

const proxyHeaders = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'];

function isLocal(request: IncomingMessage): boolean {
  const from = request.socket.remoteAddress ?? '';
  if (!/^(::1$|127\.|::ffff:127\.)/.test(from)) return false;
  // A proxy on this machine passes on who knows whom.
  if (proxyHeaders.some((name) => request.headers[name] !== undefined)) return false;
  const { host = '' } = request.headers;
  if (!URL.canParse(`http://${host}`)) return false;
  const name = new URL(`http://${host}`).hostname.replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0;
}
