import { useQuery } from '@apollo/client/react';
import type { TurnCall } from '@switchboard/client';
import { type ChatTurn, useChatTurn } from '@switchboard/client/react';
import { type FormEvent, useEffect, useState } from 'react';
import { socket } from './client.ts';
import { ThreadDocument } from './generated/graphql.ts';

/** The messages of a conversation, which Apollo Client holds, and the turn that runs in it. */
export function Thread({ id }: { readonly id: string }) {
  const { data, error, refetch } = useQuery(ThreadDocument, { variables: { id }, fetchPolicy: 'cache-and-network' });
  const chat = useChatTurn(socket, id);
  const { turn, isRunning, follow } = chat;
  // A run whose end was seen: its messages are read, and take the place of the turn.
  const [readRun, setReadRun] = useState<string | null>(null);
  const runId = turn?.runId ?? null;
  useEffect(() => {
    if (runId === null || isRunning || turn?.status === 'LOST') return;
    void refetch().then(
      () => setReadRun(runId),
      () => {},
    );
  }, [runId, isRunning, turn?.status, refetch]);
  // A reload in the middle of a turn, or another tab has begun one.
  const activeId = data?.conversation?.activeRun?.id ?? null;
  useEffect(() => {
    if (activeId !== null && turn === null) follow(activeId);
  }, [activeId, turn, follow]);

  const isTurnShown = turn !== null && (turn.runId === null || turn.runId !== readRun);
  const stored = (data?.conversation?.messages.edges ?? []).map(({ node }) => node);
  const messages = isTurnShown ? stored.filter(({ run }) => !run || run.id !== turn.runId) : stored;
  return (
    <>
      <h1>{data?.conversation?.title}</h1>
      <ol className="messages">
        {messages.map(({ id, role, content, agent }) => (
          <li key={id} data-role={role}>
            <strong>{role === 'USER' ? 'You' : agent?.name}</strong>
            <p>{content}</p>
          </li>
        ))}
        {isTurnShown && <Live chat={chat} />}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <Composer chat={chat} />
    </>
  );
}

/** The turn as it runs. */
function Live({ chat: { turn, approve, resume } }: { readonly chat: ChatTurn }) {
  if (turn === null) return null;
  return (
    <>
      {turn.userMessage && (
        <li data-role="USER">
          <strong>You</strong>
          <p>{turn.userMessage.content}</p>
        </li>
      )}
      {turn.toolCalls.map((call) => (
        <li key={call.id}>
          <Call call={call} approve={approve} />
        </li>
      ))}
      {turn.messages
        .filter(({ text }) => text !== '')
        .map(({ id, agent, text, isComplete }) => (
          <li key={id} data-writing={!isComplete}>
            <strong>{agent}</strong>
            <p>{text}</p>
          </li>
        ))}
      {turn.error && (
        <li role="alert">
          {turn.error.message}
          {turn.status === 'LOST' && (
            <button type="button" onClick={resume}>
              Connect again
            </button>
          )}
        </li>
      )}
    </>
  );
}

function Call({ call, approve }: { readonly call: TurnCall; readonly approve: ChatTurn['approve'] }) {
  const waits = call.needsApproval && call.status === 'AWAITING_APPROVAL';
  return (
    <>
      <code>
        {call.name} {call.arguments} {call.status.toLowerCase().replace('_', ' ')}
      </code>
      {waits && (
        <>
          <button type="button" onClick={() => approve(call.id, true)}>
            Approve
          </button>
          <button type="button" onClick={() => approve(call.id, false)}>
            Deny
          </button>
        </>
      )}
    </>
  );
}

function Composer({ chat: { isRunning, send, stop } }: { readonly chat: ChatTurn }) {
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isRunning || text.trim() === '') return;
    send(text.trim());
    setText('');
  };
  return (
    <form onSubmit={submit}>
      <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
      {isRunning ? (
        <button type="button" onClick={stop}>
          Stop
        </button>
      ) : (
        <button type="submit">Send</button>
      )}
    </form>
  );
}
