import type { ChatTurnInput } from '@switchboard/client';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useClient, useMutation, useQuery, useSubscription } from 'urql';
import { ChatMenu } from './chat-menu.tsx';
import type { Choices, Menu } from './choices.ts';
import { Composer } from './composer.tsx';
import { readFragment } from './generated/fragment-masking.ts';
import {
  type AttachmentViewFragment,
  AttachmentViewFragmentDoc,
  ConversationChangesDocument,
  MessageViewFragmentDoc,
  RunViewFragmentDoc,
  ThreadDocument,
  type ThreadHeadFragment,
  ThreadHeadFragmentDoc,
  UpdateConversationDocument,
} from './generated/graphql.ts';
import { MenuButton } from './menu-button.tsx';
import type { MessageActions } from './message.tsx';
import { Thread } from './thread.tsx';
import { attachRun, dismissTurn, named, resumeTurn, sendTurn, useLiveTurn } from './turns.ts';
import { writeNumber } from './write-number.ts';

interface ChatProps {
  readonly conversationId: string;
  readonly choices: Choices;
  readonly menu: Menu;
}

/** One conversation. It stays in step with other tabs and devices, and goes on with a turn that runs. */
export function Chat({ conversationId, choices, menu }: ChatProps) {
  const client = useClient();
  const live = useLiveTurn(conversationId);
  // A conversation that its first turn creates cannot be read before that has begun.
  const exists = !live?.isNew || live.state.runId !== null;
  const variables = { id: conversationId };
  const [{ data, error, fetching }] = useQuery({ query: ThreadDocument, variables, pause: !exists });
  const conversation = data?.conversation;
  const head = readFragment(ThreadHeadFragmentDoc, conversation);
  const edges = conversation?.messages.edges;
  const messages = useMemo(
    () =>
      readFragment(
        MessageViewFragmentDoc,
        (edges ?? []).map(({ node }) => node),
      ),
    [edges],
  );
  const reload = useCallback(
    () => void client.query(ThreadDocument, { id: conversationId }, { requestPolicy: 'network-only' }).toPromise(),
    [client, conversationId],
  );
  useChanges(conversationId, conversation?.lastEventSeq ?? null, reload);

  const activeRun = readFragment(RunViewFragmentDoc, head?.activeRun);
  useEffect(() => {
    if (activeRun) attachRun(conversationId, activeRun.id);
    else if (conversation !== undefined || error) resumeTurn(conversationId);
  });

  const isBusy = live !== null && live.state.error === null;
  const send = (input: Omit<ChatTurnInput, 'conversationId'>, files: readonly AttachmentViewFragment[]) => {
    if (live !== null) dismissTurn(conversationId);
    const messageId = input.editMessageId ?? input.regenerateMessageId;
    const replaces = messageId == null ? null : { messageId, keeps: false };
    sendTurn({ conversationId, ...input, ...named(files) }, { replaces, isNew: false, files });
  };
  const latest = useRef({ send, isBusy });
  useEffect(() => {
    latest.current = { send, isBusy };
  });
  // They stay the same, so that no message is rendered again when a turn begins or ends.
  const actions = useMemo<MessageActions>(
    () => ({
      edit: (message, content) => {
        const { current } = latest;
        // What was attached to the message belongs to its new version, too.
        const files = readFragment(AttachmentViewFragmentDoc, message.attachments);
        if (!current.isBusy) current.send({ content, editMessageId: message.id }, files);
        return !current.isBusy;
      },
      regenerate: (message) => {
        if (!latest.current.isBusy) latest.current.send({ regenerateMessageId: message.id }, []);
      },
      reload,
    }),
    [reload],
  );
  const isMissing = exists && !fetching && data !== undefined && conversation === null && !live;
  return (
    <>
      <header className="head">
        <MenuButton menu={menu} />
        <h1 className="head-title" dir="auto">
          {head?.title ?? (isMissing ? 'Not found' : 'New chat')}
        </h1>
        {head && head.usage.totalTokens > 0 && (
          <bdi className="head-usage muted">{writeNumber(head.usage.totalTokens)} tokens</bdi>
        )}
        {head && <ChatMenu head={head} />}
      </header>
      {(isMissing || (error && !conversation && !live)) && (
        <p className="problem" role="alert">
          {error ? error.message.replace('[GraphQL] ', '') : 'This conversation does not exist any more.'}
        </p>
      )}
      <Thread
        conversationId={conversationId}
        messages={messages}
        pageInfo={conversation?.messages.pageInfo ?? null}
        live={live}
        actions={actions}
        isBusy={isBusy}
      />
      <Composer send={(content, files) => send({ content }, files)} stop={isBusy ? () => void live.turn.stop() : null}>
        {head && <AgentPicker head={head} choices={choices} isDisabled={isBusy} />}
      </Composer>
    </>
  );
}

/** Follows what happens in the conversation, from what was read on. When too much was missed, it is read again. */
function useChanges(id: string, lastEventSeq: number | null, reload: () => void): void {
  // Where the first reading ended: later ones must not begin the subscription anew.
  const [after, setAfter] = useState<number | null>(null);
  if (after === null && lastEventSeq !== null) setAfter(lastEventSeq);
  const [{ error }] = useSubscription({
    query: ConversationChangesDocument,
    variables: { id, after: after ?? 0 },
    pause: after === null,
  });
  useEffect(() => {
    if (!error?.graphQLErrors.some(({ extensions }) => extensions.code === 'EVENTS_EXPIRED')) return;
    setAfter(null);
    reload();
  }, [error, reload]);
}

interface PickerProps {
  readonly head: ThreadHeadFragment;
  readonly choices: Choices;
  readonly isDisabled: boolean;
}

/** Who answers next: a member of the scenario, or any agent. */
function AgentPicker({ head, choices, isDisabled }: PickerProps) {
  const [, update] = useMutation(UpdateConversationDocument);
  const members = head.scenario?.agents.map(({ agent }) => agent) ?? choices.agents;
  const active = head.activeAgent;
  const isMember = members.some(({ id }) => id === active?.id);
  return (
    <label className="picker">
      <span className="hidden">Who answers next</span>
      <select
        value={active?.id ?? ''}
        disabled={isDisabled}
        onChange={({ target }) => update({ id: head.id, input: { agentId: target.value } })}
      >
        {active && !isMember && <option value={active.id}>{active.name}</option>}
        {!active && <option value="">Nobody</option>}
        {members.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
