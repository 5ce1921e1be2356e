import { type ComponentProps, memo, useMemo, useState } from 'react';
import { readFragment } from './generated/fragment-masking.ts';
import {
  GuardrailViewFragmentDoc,
  type MessageViewFragment,
  type RunViewFragment,
  RunViewFragmentDoc,
} from './generated/graphql.ts';
import { GuardrailNotices } from './guardrail-notices.tsx';
import { Icon } from './icons.tsx';
import { Handoff, LiveEnd, LiveQuestion, LiveStep, readLiveMessage } from './live-view.tsx';
import { Message, type MessageActions } from './message.tsx';
import type { LiveTurn } from './turns.ts';
import { type EarlierPage, useEarlier } from './use-earlier.ts';
import { useGradual } from './use-gradual.ts';
import { useStickyEnd } from './use-sticky-end.ts';
import { writeNumber } from './write-number.ts';

interface ThreadProps {
  readonly conversationId: string;
  /** The newest, in the order of the conversation. */
  readonly messages: readonly MessageViewFragment[];
  readonly pageInfo: EarlierPage | null;
  readonly live: LiveTurn | null;
  readonly actions: MessageActions;
  /** A turn runs: nothing can be edited or answered again. */
  readonly isBusy: boolean;
}

/** The messages, the turn that runs, and at the end what a screen reader is told of it. */
export function Thread({ conversationId, messages, pageInfo, live, actions, isBusy }: ThreadProps) {
  const { frame, list, isAtEnd, toEnd } = useStickyEnd(live?.input?.idempotencyKey);
  const earlier = useEarlier(frame, { conversationId, messages, newest: pageInfo });
  const runId = live?.state.runId ?? null;
  const replaces = live?.replaces?.messageId ?? null;
  const isLive = live !== null;
  const { listed } = earlier;
  const wanted = useMemo(
    () => (isLive ? hideBehind(listed, runId, replaces) : listed),
    [listed, isLive, runId, replaces],
  );
  const shown = useGradual(frame, wanted, isLive);
  // What was answered before the page was opened is not read aloud.
  const [hasHeard, setHeard] = useState(false);
  if (live !== null && !hasHeard) setHeard(true);
  const questionId = live?.state.userMessage?.id;
  const question = questionId ? shown.find(({ id }) => id === questionId) : undefined;
  return (
    <div className="frame">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <section className="thread" ref={frame} tabIndex={0} aria-label="Messages">
        <ol className="messages" ref={list} data-busy={isBusy}>
          {earlier.hasMore && (
            <li className="earlier" ref={shown === wanted ? earlier.watch : null}>
              <button type="button" className="button quiet" disabled={earlier.isLoading} onClick={earlier.load}>
                Earlier messages
              </button>
            </li>
          )}
          <Entries shown={shown} live={live} conversationId={conversationId} question={question} actions={actions} />
          {live && <LiveEnd live={live} conversationId={conversationId} />}
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

interface EntriesProps extends Pick<ThreadProps, 'live' | 'conversationId' | 'actions'> {
  readonly shown: readonly MessageViewFragment[];
  /** What the person wrote, if it stands in the list already. */
  readonly question: MessageViewFragment | undefined;
}

/**
 * The stored messages and what the running turn has done, in one list: an answer that is stored replaces what was
 * written in the same elements. What the turn does renders no stored message again.
 */
const Entries = memo(({ shown, live, conversationId, question, actions }: EntriesProps) => {
  const liveRunId = live?.state.runId ?? null;
  // Null if none of the messages is of the running turn: then nothing changes for them when it begins or ends.
  const runId = liveRunId !== null && shown.some(({ run }) => run?.id === liveRunId) ? liveRunId : null;
  const stored = useMemo(
    () =>
      shown.map((message, place) => (
        <Entry
          key={message.id}
          message={message}
          before={shown[place - 1]}
          after={shown[place + 1]}
          isLive={runId !== null && runId === message.run?.id}
          actions={actions}
          writtenIn={null}
        />
      )),
    [shown, runId, actions],
  );
  if (live === null) return stored;
  const steps = live.order.map((name) => {
    if (!name.startsWith('message ')) return <LiveStep key={name} name={name} live={live} question={question} />;
    const message = readLiveMessage(live, name);
    return message && <Entry key={message.id} message={message} actions={actions} writtenIn={conversationId} />;
  });
  return [...stored, question ? null : <LiveQuestion key="question" live={live} />, ...steps];
});

interface EntryProps extends ComponentProps<typeof Message> {
  readonly before?: MessageViewFragment | undefined;
  readonly after?: MessageViewFragment | undefined;
  /** Its run is shown while it writes. */
  readonly isLive?: boolean;
}

/** A message with what stands before and after it. */
const Entry = memo(({ before, after, isLive = false, ...props }: EntryProps) => (
  <>
    <Handoffs message={props.message} before={before} />
    <Message {...props} />
    <RunEnd message={props.message} after={after} isLive={isLive} />
  </>
));

/** The thread without what the running turn shows itself, and without what it takes the place of. */
function hideBehind(
  listed: readonly MessageViewFragment[],
  runId: string | null,
  replaces: string | null,
): readonly MessageViewFragment[] {
  const cut = replaces === null ? -1 : listed.findIndex(({ id }) => id === replaces);
  const before = cut < 0 ? listed : listed.slice(0, cut);
  const left = before.filter(({ role, run }) => role === 'USER' || run === null || run?.id !== runId);
  // The same list: nothing of it is rendered again when a turn begins.
  return left.length === listed.length ? listed : left;
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

function RunNote({ run }: { readonly run: RunViewFragment }) {
  const { error, status, usage } = run;
  // What was found in the question stands below it.
  const ofAnswer = run.guardrailResults.filter(({ stage }) => stage !== 'INPUT');
  const words = status === 'CANCELLED' ? 'Stopped' : null;
  const used = usage.totalTokens > 0 ? `${writeNumber(usage.totalTokens)} tokens` : null;
  return (
    <>
      <GuardrailNotices results={readFragment(GuardrailViewFragmentDoc, ofAnswer)} />
      {error && <p className="problem">{error.message}</p>}
      <p className="muted">
        <bdi>{[words, used].filter(Boolean).join(' · ')}</bdi>
      </p>
    </>
  );
}
