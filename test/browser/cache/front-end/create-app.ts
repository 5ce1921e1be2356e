import type { CacheApp } from './app.ts';

/** What one client library does for the application. Queries are read from the server once, and stay watched. */
interface CacheClient {
  /** Reads the list. @returns `viewer.lastEventSeq` */
  readList(): Promise<number>;
  /** Reads a conversation, and subscribes to its `conversationEvents` after its `lastEventSeq`. @returns its unfinished run */
  readConversation(id: string): Promise<UnfinishedRun | null>;
  /** Subscribes to `viewerEvents`; `show` is called when an event is in the cache. */
  followViewer(after: number, show: (event: ListEvent) => void): void;
  /** Subscribes to `chatTurn`. Resolves at its end. */
  followTurn(input: TurnInput): Promise<void>;
  /** Subscribes to `runEvents`. Resolves at its end. */
  followRun(runId: string, after: number): Promise<void>;
  cancelRun(runId: string): Promise<void>;
  selectBranch(messageId: string): Promise<void>;
  /** `conversations` of the list, from the cache alone. */
  cachedList(): Promise<unknown>;
  /** A conversation, from the cache alone. */
  cachedConversation(id: string): Promise<{ readonly activeRun: { readonly id: string } | null } | null>;
}

interface TurnInput {
  readonly conversationId: string;
  readonly content?: string;
  readonly editMessageId?: string;
  readonly regenerateMessageId?: string;
  readonly idempotencyKey: string;
  readonly ifBusy: 'ENQUEUE';
}

interface UnfinishedRun {
  readonly id: string;
  readonly lastSeq: number;
}

/** What the application reads in an event of `viewerEvents`: which run there is to follow. */
interface ListEvent {
  readonly __typename: string;
  readonly conversationId: string;
  readonly run?: { readonly id: string; readonly idempotencyKey: string };
}

/** The application, the same for each library. It keeps no data: what it remembers is which streams it follows. */
export function createApp(client: CacheClient): CacheApp {
  let openId: string | null = null;
  const followed = new Set<string>();
  const sentKeys = new Set<string>();

  const follow = (runId: string, after: number) => {
    if (followed.has(runId)) return;
    followed.add(runId);
    void client.followRun(runId, after);
  };
  const start = async (turn: Pick<TurnInput, 'content' | 'editMessageId' | 'regenerateMessageId'>) => {
    if (openId === null) throw new Error('No conversation is open.');
    const idempotencyKey = crypto.randomUUID();
    sentKeys.add(idempotencyKey);
    await client.followTurn({ ...turn, conversationId: openId, idempotencyKey, ifBusy: 'ENQUEUE' });
  };
  return {
    async start() {
      client.followViewer(await client.readList(), ({ conversationId, run }) => {
        if (conversationId === openId && run && !sentKeys.has(run.idempotencyKey)) follow(run.id, 0);
      });
    },
    async open(conversationId) {
      openId = conversationId;
      const run = await client.readConversation(conversationId);
      if (run) follow(run.id, run.lastSeq);
    },
    send: (content) => start({ content }),
    edit: (editMessageId, content) => start({ content, editMessageId }),
    regenerate: (regenerateMessageId) => start({ regenerateMessageId }),
    select: (messageId) => client.selectBranch(messageId),
    async cancel() {
      const run = openId === null ? null : (await client.cachedConversation(openId))?.activeRun;
      if (!run) throw new Error('The cache has no run to cancel.');
      await client.cancelRun(run.id);
    },
    list: () => client.cachedList(),
    async conversation() {
      if (openId === null) throw new Error('No conversation is open.');
      return client.cachedConversation(openId);
    },
  };
}
