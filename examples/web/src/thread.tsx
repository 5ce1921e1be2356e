import { Fragment, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useClient } from 'urql';
import { readFragment } from './generated/fragment-masking.ts';
import {
  EarlierMessagesDocument,
  type MessageViewFragment,
  MessageViewFragmentDoc,
  type RunViewFragment,
  RunViewFragmentDoc,
} from './generated/graphql.ts';
import { Icon } from './icons.tsx';
import { Handoff, LiveView } from './live-view.tsx';
import { Message, type MessageActions } from './message.tsx';
import type { LiveTurn } from './turns.ts';

interface ThreadProps {
  readonly conversationId: string;
  /** The newest, in the order of the conversation. */
  readonly messages: readonly MessageViewFragment[];
  readonly pageInfo: Page | null;
  readonly live: LiveTurn | null;
  readonly actions: MessageActions | null;
}

interface Page {
  readonly hasPreviousPage: boolean;
  readonly startCursor?: string | null;
}

/** The messages, the turn that runs, and at the end what a screen reader is told of it. */
export function Thread({ conversationId, messages, pageInfo, live, actions }: ThreadProps) {
  const earlier = useEarlier(conversationId, messages[0]?.id, pageInfo);
  const { frame, list, isAtEnd, toEnd } = useStickyEnd(live?.input?.idempotencyKey);
  const listed = useMemo(() => [...earlier.messages, ...messages], [earlier.messages, messages]);
  const shown = hideBehind(listed, live);
  // What was answered before the page was opened is not read aloud.
  const [hasHeard, setHeard] = useState(false);
  if (live !== null && !hasHeard) setHeard(true);
  const question = live?.state.userMessage?.id ?? null;
  return (
    <div className="frame">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <section className="thread" ref={frame} tabIndex={0} aria-label="Messages">
        <ol className="messages" ref={list}>
          {earlier.hasMore && (
            <li className="earlier">
              <button type="button" className="button quiet" disabled={earlier.isLoading} onClick={earlier.load}>
                Earlier messages
              </button>
            </li>
          )}
          {shown.map((message, place) => (
            <Fragment key={message.id}>
              <Handoffs message={message} before={shown[place - 1]} />
              <Message message={message} actions={actions} />
              <RunEnd message={message} after={shown[place + 1]} isLive={live?.state.runId === message.run?.id} />
            </Fragment>
          ))}
          {live && (
            <LiveView
              live={live}
              conversationId={conversationId}
              isQuestionListed={shown.some(({ id }) => id === question)}
            />
          )}
        </ol>
      </section>
      {!isAtEnd && (
        <button type="button" className="to-end" aria-label="To the newest message" onClick={toEnd}>
          <Icon name="arrowDown" />
        </button>
      )}
      <p className="hidden" role="status" aria-live="polite">
        {hasHeard && announce(live, messages)}
      </p>
    </div>
  );
}

/** The thread without what the running turn shows itself, and without what it takes the place of. */
function hideBehind(listed: readonly MessageViewFragment[], live: LiveTurn | null): readonly MessageViewFragment[] {
  if (live === null) return listed;
  const { replaces, state } = live;
  const cut = replaces ? listed.findIndex(({ id }) => id === replaces.messageId) : -1;
  const before = cut < 0 ? listed : listed.slice(0, cut);
  return before.filter(({ role, run }) => role === 'USER' || run === null || run?.id !== state.runId);
}

/** Whole sentences at the beginning and the end of an answer: each word of it would be too much. */
function announce(live: LiveTurn | null, messages: readonly MessageViewFragment[]): string {
  if (live === null) {
    const last = messages.at(-1);
    return last?.role === 'ASSISTANT' ? `${last.agent?.name ?? 'The agent'} has answered: ${last.content}` : '';
  }
  if (live.state.status === 'WAITING') return 'A tool call waits for your approval.';
  const { error } = live.state;
  return error ? '' : `${live.state.messages.at(-1)?.agent || 'The agent'} is answering.`;
}

/** The handoffs of a run, before the first message of the agent to whom the conversation was given. */
function Handoffs(props: { readonly message: MessageViewFragment; readonly before: MessageViewFragment | undefined }) {
  const { message, before } = props;
  const run = readFragment(RunViewFragmentDoc, message.run);
  if (!run || message.role !== 'ASSISTANT') return null;
  const previous = before?.run?.id === run.id && before.role === 'ASSISTANT' ? before.agent?.id : undefined;
  const from = previous === undefined ? 0 : run.handoffs.findLastIndex(({ toAgent }) => toAgent.id === previous) + 1;
  const to = run.handoffs.findLastIndex(({ toAgent }) => toAgent.id === message.agent?.id) + 1;
  return run.handoffs
    .slice(from, to)
    .map(({ id, fromAgent, toAgent, reason }) => (
      <Handoff key={id} from={fromAgent.name} to={toAgent.name} reason={reason ?? null} />
    ));
}

interface RunEndProps {
  readonly message: MessageViewFragment;
  readonly after: MessageViewFragment | undefined;
  readonly isLive: boolean;
}

/** What a turn has used, and why it failed, after the last of its messages. */
function RunEnd({ message, after, isLive }: RunEndProps) {
  const run = readFragment(RunViewFragmentDoc, message.run);
  if (!run || isLive || after?.run?.id === run.id) return null;
  return (
    <li className="run-end">
      <RunNote run={run} />
    </li>
  );
}

function RunNote({ run: { error, status, usage } }: { readonly run: RunViewFragment }) {
  if (error) return <p className="problem">{error.message}</p>;
  const words = status === 'CANCELLED' ? 'Stopped' : null;
  const used = usage.totalTokens > 0 ? `${usage.totalTokens.toLocaleString()} tokens` : null;
  return <p className="muted">{[words, used].filter(Boolean).join(' · ')}</p>;
}

/** Pages before the newest one, each read when it is asked for. */
function useEarlier(conversationId: string, firstId: string | undefined, newest: Page | null) {
  const client = useClient();
  const [pages, setPages] = useState<readonly MessageViewFragment[]>([]);
  const [oldest, setOldest] = useState<Page | null>(null);
  const [isLoading, setLoading] = useState(false);
  const [anchor, setAnchor] = useState(firstId);
  // The newest page begins elsewhere: another branch was chosen, or much was missed.
  if (anchor !== firstId) {
    setAnchor(firstId);
    setPages([]);
    setOldest(null);
  }
  const page = oldest ?? newest;
  const load = async () => {
    if (!page?.startCursor) return;
    setLoading(true);
    const variables = { id: conversationId, before: page.startCursor };
    const { data } = await client.query(EarlierMessagesDocument, variables).toPromise();
    setLoading(false);
    const found = data?.conversation?.messages;
    if (!found) return;
    const nodes = found.edges.map(({ node }) => node);
    setPages((known) => [...readFragment(MessageViewFragmentDoc, nodes), ...known]);
    setOldest(found.pageInfo);
  };
  return { messages: pages, hasMore: page?.hasPreviousPage ?? false, isLoading, load };
}

/** Keeps the end in view while text comes, unless the person has scrolled up. */
function useStickyEnd(sent: string | null | undefined) {
  const frame = useRef<HTMLElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const sticks = useRef(true);
  const [isAtEnd, setAtEnd] = useState(true);
  const toEnd = () => {
    sticks.current = true;
    if (frame.current) frame.current.scrollTop = frame.current.scrollHeight;
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever sends a message wants to see it
  useLayoutEffect(toEnd, [sent]);
  useEffect(() => {
    const element = frame.current;
    if (!element || !list.current) return;
    const watch = () => {
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
      sticks.current = distance < 60;
      setAtEnd(distance < 200);
    };
    const observer = new ResizeObserver(() => {
      if (sticks.current) element.scrollTop = element.scrollHeight;
      else watch();
    });
    observer.observe(list.current);
    observer.observe(element);
    element.addEventListener('scroll', watch, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', watch);
    };
  }, []);
  return { frame, list, isAtEnd, toEnd };
}
