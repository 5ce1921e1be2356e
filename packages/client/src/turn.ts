import type { ChatTurnInput } from './events.ts';
import {
  approveDocument,
  type ChatTurnSubscription,
  cancelDocument,
  chatTurnDocument,
  type RunEventsSubscription,
  runEventsDocument,
} from './generated/operations.ts';
import { type AnsweredError, codeOf, request, type TurnSocket } from './request.ts';
import {
  applyEvent,
  emptyState,
  isFinal,
  type TurnCall,
  type TurnError,
  type TurnMessage,
  type TurnState,
} from './state.ts';

export interface TurnOptions {
  /**
   * Calls `notify` when the listeners may be told of changes: all until then are one. By default with the next frame of the
   * page, and at once where there are no frames. The end of a turn is told of at once.
   */
  readonly schedule?: (notify: () => void) => void;
}

/** A turn, and the store of its state. */
export interface Turn {
  /** What `useSyncExternalStore` of React and stores of other libraries take. */
  getState(): TurnState;
  /** @returns ends it */
  subscribe(listener: () => void): () => void;
  /** The idempotency key of the turn: keep it to attach to the same turn again. Null: of a run that is followed. */
  readonly idempotencyKey: string | null;
  /** Resolves when the turn has ended, was refused or is lost, with its state. Never rejects. */
  readonly ended: Promise<TurnState>;
  /**
   * Decides on a tool call that waits. The turn goes on for all of its readers.
   * @param args JSON text in place of the arguments that the model wrote
   * @throws what the server answers: {@link ServerError}
   */
  approve(toolCallId: string, approve: boolean, args?: string): Promise<void>;
  /** Cancels the turn at the server, as soon as it has begun there. What was written stays. @throws {ServerError} */
  stop(): Promise<void>;
  /** Leaves the turn, which goes on at the server. */
  leave(): void;
  /** Connects again after LOST or `leave`: the same turn, from the event after the last one. */
  resume(): void;
}

/**
 * Starts a turn, or attaches to the one that this idempotency key has started, and keeps its state up to date. After a cut
 * the client of graphql-ws subscribes again, and the turn goes on after the last event that was seen: it is never started
 * twice, and no text comes twice.
 * @param client of graphql-ws; `retryAttempts` and `shouldRetry` decide how long it tries
 */
export function createTurn(client: TurnSocket, input: ChatTurnInput, options: TurnOptions = {}): Turn {
  const idempotencyKey = input.idempotencyKey ?? crypto.randomUUID();
  const userMessage = input.content == null ? null : { id: null, content: input.content };
  return openTurn(client, options, {
    idempotencyKey,
    from: { ...emptyState, userMessage },
    query: chatTurnDocument,
    // graphql-ws reads the variables again whenever it connects again.
    variables: (after) => ({ input: { ...input, idempotencyKey, ...(after > 0 && { after }) } }),
  });
}

/** What a page knows of a run already. */
export interface FollowedFrom {
  /** `Run.lastSeq`. */
  readonly lastSeq: number;
  readonly messages?: readonly TurnMessage[];
  readonly toolCalls?: readonly TurnCall[];
}

/**
 * Follows a run that another page, or this one before it was loaded again, has started.
 * @param from `Conversation.activeRun.lastSeq`, and what the same query returned of messages and calls: the events after it
 *   are applied to those. Without it, the run is read from its beginning.
 */
export function followRun(
  client: TurnSocket,
  runId: string,
  from: FollowedFrom | null = null,
  options: TurnOptions = {},
): Turn {
  return openTurn(client, options, {
    idempotencyKey: null,
    from: {
      ...emptyState,
      runId,
      seq: from?.lastSeq ?? 0,
      messages: from?.messages ?? [],
      toolCalls: from?.toolCalls ?? [],
    },
    query: runEventsDocument,
    variables: (after) => ({ runId, after }),
  });
}

interface Opened {
  readonly idempotencyKey: string | null;
  readonly from: TurnState;
  readonly query: string;
  readonly variables: (after: number) => Record<string, unknown>;
}

function openTurn(client: TurnSocket, options: TurnOptions, { idempotencyKey, from, query, variables }: Opened): Turn {
  const { schedule = nextFrame } = options;
  const listeners = new Set<() => void>();
  const { promise: ended, resolve: end } = withResolvers<TurnState>();
  /** The server has answered: with the run, or that there is none. */
  const { promise: begun, resolve: begin } = withResolvers<TurnState>();
  let state = from;
  /** The status before the connection was lost. */
  let known = from.status;
  let isScheduled = false;
  let leave: (() => void) | null = null;

  const notify = () => {
    isScheduled = false;
    for (const listener of [...listeners]) listener();
  };
  const set = (next: TurnState) => {
    if (next === state) return;
    state = next;
    if (state.status !== 'LOST') known = state.status;
    if (state.runId !== null || isFinal(state.status)) begin(state);
    const isOver = isFinal(state.status) || state.status === 'LOST';
    if (isOver) notify();
    else if (!isScheduled) {
      isScheduled = true;
      schedule(notify);
    }
    if (isOver) end(state);
  };
  const fail = (error: TurnError, isRefused: boolean) => {
    leave = null;
    if (!isFinal(state.status)) set({ ...state, status: isRefused ? 'FAILED' : 'LOST', error });
  };

  const connect = () => {
    // A turn that is left must not hear of what was under way to it.
    let isLeft = false;
    const unsubscribe = client.subscribe<ChatTurnSubscription | RunEventsSubscription>(
      {
        query,
        get variables() {
          return variables(state.seq);
        },
      },
      {
        next: ({ data, errors }) => {
          if (isLeft) return;
          if (errors?.[0]) return fail(readError(errors[0]), true);
          if (data?.event) set(applyEvent(state, data.event));
        },
        error: (error) => {
          if (isLeft) return;
          const first = Array.isArray(error) ? error[0] : null;
          if (first) fail(readError(first), true);
          else fail({ code: 'CONNECTION_LOST', message: readReason(error), retryable: true }, false);
        },
        complete: () => {
          if (isLeft) return;
          fail({ code: 'CONNECTION_LOST', message: 'The stream ended before the turn did.', retryable: true }, false);
        },
      },
    );
    return () => {
      isLeft = true;
      unsubscribe();
    };
  };
  leave = connect();

  return {
    idempotencyKey,
    ended,
    getState: () => state,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    approve: async (toolCallId, approve, args) => {
      await request(client, approveDocument, { toolCallId, approve, ...(args !== undefined && { arguments: args }) });
    },
    stop: async () => {
      const { runId } = await begun;
      if (runId !== null && !isFinal(state.status)) await request(client, cancelDocument, { id: runId });
    },
    leave: () => {
      leave?.();
      leave = null;
    },
    resume: () => {
      if (leave !== null || isFinal(state.status)) return;
      set({ ...state, status: known, error: null });
      leave = connect();
    },
  };
}

/** What a refused turn is told. */
function readError(error: AnsweredError): TurnError {
  const code = codeOf(error);
  const retryable = code === 'RATE_LIMITED' || code === 'UNAVAILABLE' || code === 'CONFLICT';
  return { code, message: error.message, retryable };
}

/** What a socket says that was closed, or a server that was not reached. */
function readReason(error: unknown): string {
  const { reason, message } = Object(error) as { readonly reason?: unknown; readonly message?: unknown };
  return `The connection was lost${reason || message ? `: ${String(reason || message)}` : '.'}`;
}

function nextFrame(notify: () => void): void {
  // Hidden pages have no frames.
  if (typeof requestAnimationFrame === 'function' && !document.hidden) requestAnimationFrame(notify);
  else queueMicrotask(notify);
}

function withResolvers<Value>() {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
