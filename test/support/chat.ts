import type { TypedDocumentNode } from '@apollo/client';
import { type DocumentNode, print } from 'graphql';
import { AgentsDocument, type CreateConversationInput, NewConversationDocument } from '../generated/graphql.ts';
import type { TestApp, TokenClaims } from './app.ts';
import {
  chatTurnDocument,
  openStream,
  runEventsDocument,
  type Transport,
  type TurnEvent,
  type TurnReader,
} from './clients/turn-reader.ts';

/** What a socket client needs of a server: an app of this process or a server in a process of its own. */
export type ChatServer = Pick<TestApp, 'url' | 'ws' | 'token' | 'query'>;

/** One user of the API: sends operations, opens streams, and has conversations. */
export interface SocketClient {
  readonly token: string;
  /**
   * Sends a query or a mutation that has to work. A generated document gives a typed answer.
   * @throws when the answer has errors
   */
  ask: Ask;
  /** @param input of createConversation, or the key of a scenario; by default `assistant`. @returns its id */
  createConversation(input?: string | CreateConversationInput): Promise<string>;
  /** Creates an agent of the user. @returns its id */
  createAgent(input?: Record<string, unknown>): Promise<string>;
  /** The id of an agent that the user can see. */
  findAgent(name: string): Promise<string>;
  chatTurn(transport: Transport, input: Record<string, unknown>): TurnReader;
  runEvents(transport: Transport, runId: string, after?: number): TurnReader;
}

interface Ask {
  <Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables & Record<string, unknown>,
  ): Promise<Data>;
  // biome-ignore lint/suspicious/noExplicitAny: documents that stand in a test are not generated; their answers are asserted.
  (document: string, variables?: Record<string, unknown>): Promise<any>;
}

/** A user in a conversation. */
interface Chat extends SocketClient {
  readonly conversationId: string;
  /** Sends a message in the conversation, and reads the events of the turn. Any field of `input` overrides its own. */
  say(content: string, input?: Record<string, unknown>): TurnReader;
  /** As `say`, and reads to the end of the turn. */
  readToEnd(content: string, input?: Record<string, unknown>): Promise<TurnEvent[]>;
}

let users = 0;

/**
 * Opens a chat: a user whom nobody has seen before, unless `claims` name one, and a conversation of theirs.
 * `const chat = await openChat(app); await chat.readToEnd('Hello');`
 * @param input of createConversation, or the key of a scenario; by default `assistant`
 */
export async function openChat(
  app: ChatServer,
  input?: string | CreateConversationInput,
  claims: TokenClaims = {},
): Promise<Chat> {
  const client = await openNewUser(app, claims);
  const conversationId = await client.createConversation(input);
  const say: Chat['say'] = (content, more) => client.chatTurn('ws', { conversationId, content, ...more });
  return { ...client, conversationId, say, readToEnd: (content, more) => say(content, more).rest() };
}

/** A user whom nobody has seen before: each has settings and conversations of their own. */
export function openNewUser(app: ChatServer, claims: TokenClaims = {}): Promise<SocketClient> {
  users += 1;
  return openSocketClient(app, { sub: `user-${users}`, ...claims });
}

/** A client of one user. @param who the claims of their token, or their user id alone */
export async function openSocketClient(app: ChatServer, who: string | TokenClaims): Promise<SocketClient> {
  const token = await app.token(typeof who === 'string' ? { sub: who } : who);
  const ask: Ask = async (document: string | DocumentNode, variables?: Record<string, unknown>) => {
    const text = typeof document === 'string' ? document : print(document);
    const { data, errors } = await app.query(text, variables, { token });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data;
  };
  return {
    token,
    ask,
    async createConversation(input = 'assistant') {
      const variables = { input: typeof input === 'string' ? { scenarioKey: input } : input };
      return (await ask(NewConversationDocument, variables)).createConversation.id;
    },
    async createAgent(input = {}) {
      const document = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
      const { createAgent } = await ask(document, { input: { name: 'an agent', instructions: 'Be brief.', ...input } });
      return createAgent.id;
    },
    async findAgent(name) {
      const { agents } = await ask(AgentsDocument, {});
      const found = agents.edges.find((edge) => edge?.node?.name === name)?.node.id;
      if (found === undefined) throw new Error(`The user sees no agent ${name}.`);
      return found;
    },
    chatTurn: (transport, input) =>
      openStream(app, transport, token, chatTurnDocument, {
        input: { content: 'Hello', idempotencyKey: crypto.randomUUID(), ...input },
      }),
    runEvents: (transport, runId, after) =>
      openStream(app, transport, token, runEventsDocument, after === undefined ? { runId } : { runId, after }),
  };
}

/** The documents of the turns tests. */
export const documents = {
  startRun: `mutation ($input: ChatTurnInput!) { startRun(input: $input) { id status } }`,
  sendMessage: `mutation ($input: ChatTurnInput!) {
    sendMessage(input: $input) { id status error { code retryable } messages { content status } }
  }`,
  cancelRun: `mutation ($id: ID!) { cancelRun(id: $id) { id status lastSeq } }`,
  run: `query ($id: ID!) { run(id: $id) {
    id status lastSeq resumedCount
    agent { name }
    userMessage { id role content }
    messages { id role status content agent { name } source toolCalls { id callId name } }
    toolCalls { id callId name arguments status result error agent { name } startedAt finishedAt }
    handoffs { fromAgent { name } toAgent { name } reason run { id } }
    routingDecision { rootAgent { name } selectedAgents { name } selectedTools confidence reasoning alternatives }
    usage { inputTokens outputTokens totalTokens cachedInputTokens cacheWriteInputTokens reasoningTokens modelCalls complete }
    error { code message retryable }
    createdAt startedAt finishedAt
  } }`,
  conversation: `query ($id: ID!) { conversation(id: $id) {
    id messageCount activeAgent { name }
    activeRun { id status lastSeq }
    messages { edges { node { id role status content } } }
    runs { edges { node { id status } } }
    usage { totalTokens modelCalls complete }
  } }`,
} as const;
