import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { ChatTurnInput } from './events.ts';
import type { TurnSocket } from './request.ts';
import { isFinal, type TurnState } from './state.ts';
import { createTurn, type FollowedFrom, followRun, type Turn, type TurnOptions } from './turn.ts';

/** What {@link useChatTurn} returns. The functions stay the same as long as the socket and the conversation do. */
export interface ChatTurn {
  /** The turn that was sent or followed last. Null: none, since the component knows this conversation. */
  readonly turn: TurnState | null;
  /** Whether it goes on: it has not ended, and is not LOST. */
  readonly isRunning: boolean;
  /** Starts a turn: with a text, or with more of `ChatTurnInput`. */
  send(message: string | Omit<ChatTurnInput, 'conversationId'>): Turn;
  /** Follows `Conversation.activeRun`, after the page was loaded again: {@link followRun}. */
  follow(runId: string, from?: FollowedFrom | null): Turn;
  /** Decides on a tool call that waits. @throws {ServerError} */
  approve(toolCallId: string, approve: boolean, args?: string): Promise<void>;
  /** Cancels the turn. @throws {ServerError} */
  stop(): Promise<void>;
  /** Connects again after LOST. */
  resume(): void;
}

const never = () => () => {};
const nothing = () => null;

/**
 * The turns of a conversation in a component, which is rendered once for each frame in which its turn changes. A component
 * that is removed, or shows another conversation, leaves its turn, which goes on at the server.
 * @param client of graphql-ws: one for all components, made outside of them
 * @param options of the turns that begin from now on
 */
export function useChatTurn(client: TurnSocket, conversationId: string, options?: TurnOptions): ChatTurn {
  const [shown, setShown] = useState<{ readonly id: string; readonly turn: Turn | null }>({
    id: conversationId,
    turn: null,
  });
  const turn = shown.id === conversationId ? shown.turn : null;
  // React removes and adds effects again in its strict mode: a turn that was left is resumed.
  useEffect(() => {
    turn?.resume();
    return () => turn?.leave();
  }, [turn]);
  const read = turn?.getState ?? nothing;
  const state = useSyncExternalStore(turn?.subscribe ?? never, read, read);

  const show = useCallback(
    (next: Turn) => {
      setShown({ id: conversationId, turn: next });
      return next;
    },
    [conversationId],
  );
  const schedule = options?.schedule;
  const send = useCallback(
    (message: string | Omit<ChatTurnInput, 'conversationId'>) => {
      const input = typeof message === 'string' ? { content: message } : message;
      return show(createTurn(client, { ...input, conversationId }, schedule && { schedule }));
    },
    [client, conversationId, schedule, show],
  );
  const follow = useCallback(
    (runId: string, from: FollowedFrom | null = null) => show(followRun(client, runId, from, schedule && { schedule })),
    [client, schedule, show],
  );
  const approve = useCallback(
    async (toolCallId: string, approve: boolean, args?: string) => turn?.approve(toolCallId, approve, args),
    [turn],
  );
  const stop = useCallback(async () => turn?.stop(), [turn]);
  const resume = useCallback(() => turn?.resume(), [turn]);
  const isRunning = state !== null && state.status !== 'LOST' && !isFinal(state.status);
  return { turn: state, isRunning, send, follow, approve, stop, resume };
}
