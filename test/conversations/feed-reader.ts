import type { TestApp } from '../support/app.ts';

/** One event as the documents of these tests select it. */
export interface FeedStep {
  readonly __typename: string;
  readonly seq: number;
  readonly conversationId: string;
  readonly edge?: { readonly cursor: string; readonly node: { readonly id: string; readonly content?: string } };
  readonly conversation?: { readonly id: string };
}

/** Selects a little of every event. */
const eventFields = `
  __typename seq conversationId
  ... on ConversationCreated { edge { cursor node { id title } } }
  ... on ConversationUpdated { conversation { title } }
  ... on MessageAdded { edge { cursor node { id role status content } } conversation { messageCount updatedAt } }
  ... on RunChanged { run { id status } }
  ... on AgentSwitched { fromAgent { name } toAgent { name } reason }`;

const conversationDocument = `
  subscription ($id: ID!, $after: Int) { conversationEvents(conversationId: $id, after: $after) { ${eventFields} } }`;
const viewerDocument = `subscription ($after: Int) { viewerEvents(after: $after) { ${eventFields} } }`;

/** Reads events one by one; fails with the errors of the stream. */
export class EventStream implements AsyncDisposable {
  readonly #stream: AsyncIterableIterator<{
    readonly data?: Record<string, FeedStep> | null | undefined;
    readonly errors?: unknown;
  }>;

  constructor(app: TestApp, token: string, query: string, variables: Record<string, unknown>) {
    this.#stream = app.ws(token).iterate<Record<string, FeedStep>>({ query, variables });
  }

  /** The next event; null: the stream has ended. */
  async next(): Promise<FeedStep | null> {
    const step = await this.#stream.next();
    if (step.done) return null;
    const [event] = Object.values(step.value.data ?? {});
    if (!event || step.value.errors)
      throw Object.assign(new Error('The stream failed.'), { errors: step.value.errors });
    return event;
  }

  /** The events up to the first that `isLast` accepts, that one included. */
  async until(isLast: (event: FeedStep) => boolean): Promise<FeedStep[]> {
    const events: FeedStep[] = [];
    for (let event = await this.next(); event; event = await this.next()) {
      events.push(event);
      if (isLast(event)) return events;
    }
    throw new Error(`The stream ended early: ${JSON.stringify(events)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream.return?.(undefined);
  }
}

/** Follows one conversation. */
export function followConversation(app: TestApp, token: string, id: string, after?: number): EventStream {
  return new EventStream(app, token, conversationDocument, { id, after });
}

/** Follows all conversations of the user. */
export function followViewer(app: TestApp, token: string, after?: number): EventStream {
  return new EventStream(app, token, viewerDocument, { after });
}
