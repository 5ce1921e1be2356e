import { createTurn, followRun, request, ServerError, type Turn } from '@switchboard/client';
import { type Client, createClient } from 'graphql-ws';
import {
  type ContextSnapshotInput,
  type CreateContextSnapshotMutation,
  type CreateConversationInput,
  type CreateConversationMutation,
  createContextSnapshotDocument,
  createConversationDocument,
  type OpenConversationQuery,
  openConversationDocument,
  type StoredMessageFragment,
} from './generated/operations.ts';

/** What the user sees, as `createContextSnapshot` takes it. */
export type PageContext = ContextSnapshotInput;
export type StoredMessage = StoredMessageFragment;

export interface SessionOptions {
  /** Of GraphQL, `http:` or `https:`. */
  readonly endpoint: string;
  /** Is called whenever the socket connects. */
  readonly getToken: () => string | Promise<string>;
  /** Is called for each message. */
  readonly getContext: () => PageContext | null | Promise<PageContext | null>;
  /** Who answers in a new conversation. */
  readonly start: CreateConversationInput;
  readonly setConnection: (isConnected: boolean) => void;
}

/** A conversation of the dock: its socket, and which conversation it is, which the tab remembers. */
export class Session {
  readonly #options: SessionOptions;
  readonly #socket: Client;
  readonly #key: string;
  #conversationId: string | null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#key = `switchboard-dock ${options.endpoint} ${JSON.stringify(options.start)}`;
    this.#conversationId = recall(this.#key);
    this.#socket = createClient({
      url: options.endpoint.replace(/^http/, 'ws'),
      connectionParams: async () => ({ authorization: `Bearer ${await options.getToken()}` }),
      lazyCloseTimeout: 3_000,
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => true,
      retryWait: (tries) => new Promise((go) => setTimeout(go, Math.min(200 * 2 ** tries, 5_000))),
      on: {
        connected: () => options.setConnection(true),
        closed: (event) => options.setConnection(event instanceof CloseEvent && event.wasClean && event.code === 1000),
      },
    });
  }

  /** Reads the conversation that this tab has had, and follows what runs in it. Nothing if there is none that can be read. */
  async open(): Promise<{ readonly messages: readonly StoredMessage[]; readonly turn: Turn | null }> {
    const nothing = { messages: [], turn: null };
    if (this.#conversationId === null) return nothing;
    try {
      const variables = { id: this.#conversationId };
      const { conversation } = await request<OpenConversationQuery>(this.#socket, openConversationDocument, variables);
      if (!conversation) throw new ServerError('NOT_FOUND', 'There is no such conversation.');
      const running = conversation.activeRun?.id ?? null;
      const messages = conversation.messages.edges
        .map(({ node }) => node)
        .filter(({ run }) => run?.id !== running || !run);
      return { messages, turn: running === null ? null : followRun(this.#socket, running) };
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      // It was deleted, or somebody else has signed in.
      this.forget();
      return nothing;
    }
  }

  /**
   * Sends a message with what the user sees, in a new conversation if there is none.
   * @throws {ServerError} what the server answers
   */
  async send(content: string): Promise<Turn> {
    const context = await this.#options.getContext();
    const [conversationId, contextSnapshotId] = await Promise.all([
      this.#conversationId ?? this.#createConversation(),
      context === null ? null : this.#createSnapshot(context),
    ]);
    return createTurn(this.#socket, {
      conversationId,
      content,
      ...(contextSnapshotId !== null && { contextSnapshotId }),
    });
  }

  /** The next message begins a new conversation. */
  forget(): void {
    this.#conversationId = null;
    remember(this.#key, null);
  }

  close(): void {
    void this.#socket.dispose();
  }

  async #createConversation(): Promise<string> {
    // An id of its own: a socket that is cut meanwhile sends the mutation again, which creates no second conversation.
    const variables = { input: { ...this.#options.start, id: `conv_${crypto.randomUUID()}` } };
    const { createConversation } = await request<CreateConversationMutation>(
      this.#socket,
      createConversationDocument,
      variables,
    );
    this.#conversationId = createConversation.id;
    remember(this.#key, createConversation.id);
    return createConversation.id;
  }

  async #createSnapshot(input: PageContext): Promise<string> {
    const answer = await request<CreateContextSnapshotMutation>(this.#socket, createContextSnapshotDocument, { input });
    return answer.createContextSnapshot.id;
  }
}

// Pages can be without storage: then a reload begins a new conversation.

function recall(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key: string, id: string | null): void {
  try {
    if (id === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, id);
  } catch {}
}
