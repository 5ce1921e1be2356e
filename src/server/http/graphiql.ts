import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import type { GraphiQLOptions } from 'graphql-yoga';
import { isLoopbackAddress, isLoopbackName } from '../requests/loopback.ts';

/** What the page is prefilled with, so that the run button streams a turn. */
export interface Playground {
  readonly token: string;
  /** A conversation of the token's user without messages. */
  readonly conversationId: string;
}

/** Prepares a fresh page. Null: nothing is prefilled. */
export type PreparePlayground = () => Promise<Playground | null>;

const turnDocument = `# Press the run button: an agent answers, hands off
# to another one and uses a tool, live.
#
# The same idempotencyKey attaches to the turn that
# it started, from any tab, and replays its events.
# For another turn, change key and content:
# "Please refund order 1046." waits for approval:
# approve it in the tab ApproveToolCall, then run
# this operation again.
subscription Turn($input: ChatTurnInput!) {
  chatTurn(input: $input) {
    __typename
    seq
    ... on RoutingDecided {
      decision { rootAgent { name } confidence reasoning }
    }
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
    ... on GuardrailTripped {
      result { guardrail stage decision { action reasoning } }
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

const approveDocument = `# Answers ApprovalRequested: insert the id of its toolCall. GraphiQL ends a stream when you leave its
# tab; the turn goes on, and running the operation again attaches to it.
mutation ApproveToolCall {
  approveToolCall(toolCallId: "tcl_…", approve: true) {
    status
    toolCalls { id name arguments status }
  }
}
`;

const guardDocument = `# Guardrails of the scenario "guarded": addresses and card numbers are redacted, passwords stop a turn.
# Moderate checks a text without a turn. For a turn, create a conversation, and pass its id to chatTurn as
# conversationId, with the content "I am bob@example.com" or "My password is hunter2".
mutation Moderate {
  moderate(input: { scenarioKey: "guarded", text: "I am bob@example.com" }) {
    flagged
    action
    reasoning
    categories { name flagged score }
  }
}

mutation CreateGuardedConversation {
  createConversation(input: { title: "Guarded", scenarioKey: "guarded" }) {
    id
  }
}
`;

const contextDocument = `# A snapshot of what you have at hand. Its records are read by tools: order:1042 by lookup_order.
# For a turn with it, pass its id to chatTurn as contextSnapshotId, with the content "What do I see?".
mutation CreateContextSnapshot {
  createContextSnapshot(
    input: {
      page: "https://shop.example/orders/1042 - Your order"
      recordIds: ["order:1042"]
      data: { selected: "Espresso machine", customer: "bob@example.com" }
    }
  ) {
    id
    block
    redactions
    expiresAt
  }
}
`;

const orchestrateDocument = `# In the scenario "orchestrated", a classifier chooses in every turn which agent answers. Orchestrate asks it without a turn.
# For turns, create a conversation, and pass its id to chatTurn as conversationId: first with the content
# "Where is my order 1042?", then "I want a refund". RoutingDecided says who answers, and why; Switches shows each change
# to everybody who reads the conversation.
mutation Orchestrate {
  orchestrate(input: { scenarioKey: "orchestrated", lastUserMessage: "I want a refund" }) {
    rootAgent { name }
    switched
    confidence
    reasoning
    alternatives { name }
  }
}

mutation CreateOrchestratedConversation {
  createConversation(input: { title: "Orchestrated", scenarioKey: "orchestrated" }) {
    id
  }
}

subscription Switches {
  conversationEvents(conversationId: "conv_…") {
    __typename
    ... on AgentSwitched { fromAgent { name } toAgent { name } reason }
  }
}
`;

const callDocument = `# A call by voice: an ephemeral key for the browser. The demo endpoint mints one that says that it is the
# demo's: no call can begin with it. RecordRealtimeItems merges what was said into the conversation of the
# session; insert its id. An item that is sent twice is recorded once, and at decides its place.
mutation StartRealtimeSession {
  startRealtimeSession(input: { scenarioKey: "support" }) {
    id
    ephemeralKey
    expiresAt
    conversation { id }
    initialAgents { name handoffs transferTool tools { name } }
  }
}

mutation RecordRealtimeItems {
  recordRealtimeItems(
    sessionId: "rts_…"
    items: [
      { itemId: "item_1", role: USER, content: "I want to talk about my bill." }
      { itemId: "item_2", role: ASSISTANT, content: "Gladly.", agentName: "billing" }
    ]
  ) {
    id
    position
    source
    agent { name }
    conversation { activeAgent { name } }
  }
}
`;

const readDocument = `# Reads your conversations.
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
 * Creates the page of GraphiQL. It contains everything that it needs, so it works offline.
 *
 * The token is filled in only if both ends of the connection are loopback addresses and the browser used a loopback name.
 * Under any other name the page might belong to another site that resolves to this address (DNS rebinding), and any other
 * machine might be anyone's. A program on this machine that forwards connections of others can still imitate this, which
 * is why the token is short-lived.
 */
export function createGraphiqlPage(prepare: PreparePlayground) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const playground = isLocalBrowser(request) ? await prepare() : null;
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
    // GraphiQL fills the editors of the first tab from here, not from the tab.
    variables,
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: 'variables' as const,
    defaultTabs: [
      { query: turnDocument, variables, headers },
      { query: approveDocument, headers },
      { query: createDocument, headers },
      { query: guardDocument, headers },
      { query: contextDocument, headers },
      { query: orchestrateDocument, headers },
      { query: callDocument, headers },
      { query: readDocument, headers },
    ],
  } satisfies GraphiQLOptions & { variables: string };
  const page = renderGraphiQL(options);
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

const proxyHeaders = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'];

function isLocalBrowser(request: IncomingMessage): boolean {
  const { remoteAddress = '', localAddress = '' } = request.socket;
  if (!isLoopbackAddress(remoteAddress) || !isLoopbackAddress(localAddress)) return false;
  // A proxy on this machine forwards requests of anyone.
  if (proxyHeaders.some((name) => request.headers[name] !== undefined)) return false;
  const { host = '' } = request.headers;
  if (!URL.canParse(`http://${host}`)) return false;
  return isLoopbackName(new URL(`http://${host}`).hostname);
}
