import { Attachments } from './attachments.tsx';
import { readFragment } from './generated/fragment-masking.ts';
import { GuardrailViewFragmentDoc, type MessageViewFragment } from './generated/graphql.ts';
import { GuardrailNotice, isAmong } from './guardrail-notices.tsx';
import { Icon } from './icons.tsx';
import { ToolCall } from './tool-call.tsx';
import { dismissTurn, type LiveTurn, sendTurn } from './turns.ts';

interface LiveProps {
  readonly live: LiveTurn;
  readonly conversationId: string;
}

/** What the person wrote, if it does not stand in the list already. */
export function LiveQuestion({ live }: { readonly live: LiveTurn }) {
  const { userMessage } = live.state;
  if (!userMessage) return null;
  return (
    <li className="message user fresh">
      <div className="bubble" dir="auto">
        {userMessage.content}
      </div>
      <Attachments files={live.files} messageId={userMessage.id} />
      {/* Keeps the room of the buttons that come when the message is stored. */}
      <div className="actions" />
    </li>
  );
}

/** What a running turn is about to do, or why it cannot go on: after what it has done. */
export function LiveEnd({ live, conversationId }: LiveProps) {
  const { turn, state, order } = live;
  const isWriting = state.messages.some(({ isComplete, text }) => !isComplete && text !== '');
  const isOpen = ['CONNECTING', 'QUEUED', 'RUNNING'].includes(state.status);
  return (
    <>
      {isOpen && !isWriting && (
        // With each step it is another one: it does not move, it is there.
        <li key={`thinking ${order.length}`} className="message assistant thinking fresh">
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <span className="hidden">{state.status === 'QUEUED' ? 'Waits in the queue' : 'Working'}</span>
          {state.status === 'QUEUED' && <span className="muted">{state.queuePosition} in the queue</span>}
        </li>
      )}
      {state.error && (
        <li className="message assistant">
          <div className="problem" role="alert">
            <p>{state.error.message}</p>
            <div className="buttons">
              {state.status === 'LOST' && (
                <button type="button" className="button" onClick={turn.resume}>
                  Connect again
                </button>
              )}
              {state.status === 'FAILED' && state.runId === null && (
                <Refused live={live} conversationId={conversationId} />
              )}
            </div>
          </div>
        </li>
      )}
    </>
  );
}

/** A turn that the server has not accepted can be sent once more, with the same key, or be taken away. */
function Refused({ live, conversationId }: { readonly live: LiveTurn; readonly conversationId: string }) {
  return (
    <>
      {live.input && (
        <button type="button" className="button" onClick={() => live.input && sendTurn(live.input, live)}>
          Try again
        </button>
      )}
      <button type="button" className="button quiet" onClick={() => dismissTurn(conversationId)}>
        Dismiss
      </button>
    </>
  );
}

interface StepProps {
  /** Its kind and id, as in {@link LiveTurn.order}. */
  readonly name: string;
  readonly live: LiveTurn;
  /** What the person wrote, if it stands in the list already. */
  readonly question: MessageViewFragment | undefined;
}

/** A handoff, a call, or what a guardrail has found, while the turn runs. */
export function LiveStep({ name, live: { turn, state }, question }: StepProps) {
  const [kind, id] = name.split(' ');
  if (kind === 'handoff') {
    const handoff = state.handoffs.find((one) => one.id === id);
    return handoff ? <Handoff from={handoff.from} to={handoff.to} reason={handoff.reason} /> : null;
  }
  if (kind === 'guardrail') {
    const found = state.guardrails[Number(id)];
    const known = readFragment(GuardrailViewFragmentDoc, question?.guardrailResults ?? []);
    if (!found || isAmong(found, known)) return null;
    return (
      <li className="message assistant">
        <GuardrailNotice {...found} />
      </li>
    );
  }
  const call = state.toolCalls.find((one) => one.id === id);
  if (!call) return null;
  const decide = (approve: boolean, args?: string) => turn.approve(call.id, approve, args);
  return (
    <li className="message assistant one-call">
      <ToolCall call={call} decide={call.needsApproval ? decide : undefined} />
    </li>
  );
}

/** A message that a turn writes, as it will be stored. Null: nothing of it is written yet. */
export function readLiveMessage({ state }: LiveTurn, name: string): MessageViewFragment | null {
  const message = state.messages.find(({ id }) => name === `message ${id}`);
  if (!message || message.text === '') return null;
  return {
    id: message.id,
    role: 'ASSISTANT',
    status: message.isComplete ? 'COMPLETE' : 'PARTIAL',
    content: message.text,
    reasoning: null,
    createdAt: '',
    parent: null,
    branches: [],
    agent: message.agent === '' ? null : { id: '', name: message.agent },
    run: null,
    toolCalls: [],
    citations: [],
    attachments: [],
    feedback: null,
    guardrailResults: [],
  };
}

/** One agent has given the conversation to another. */
export function Handoff(props: { readonly from: string; readonly to: string; readonly reason?: string | null }) {
  const { from, to, reason } = props;
  return (
    <li className="handoff">
      <Icon name="handoff" />
      <span>
        {from} <span aria-hidden="true">→</span>
        <span className="hidden"> handed over to </span> {to}
        {reason ? <span className="muted" dir="auto">{`: ${reason}`}</span> : null}
      </span>
    </li>
  );
}
