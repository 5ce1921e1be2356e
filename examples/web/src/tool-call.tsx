import { useState } from 'react';
import { Icon } from './icons.tsx';

/** A tool call as the stream and the cache have it. */
export interface ShownCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  readonly status: string;
  readonly result?: unknown;
  readonly error?: string | null | undefined;
}

const states: Readonly<Record<string, string>> = {
  AWAITING_APPROVAL: 'waits for you',
  CANCELLED: 'cancelled',
  DENIED: 'denied',
  FAILED: 'failed',
  PENDING: 'pending',
  RUNNING: 'running',
  SUCCEEDED: 'done',
  UNKNOWN: 'outcome unknown',
};

type Decide = (approve: boolean, args?: string) => Promise<void>;

/** A tool call with its arguments and result. `decide`: a person has to decide on it. */
export function ToolCall({ call, decide }: { readonly call: ShownCall; readonly decide?: Decide | undefined }) {
  const isRunning = call.status === 'RUNNING' || call.status === 'PENDING';
  if (decide && call.status === 'AWAITING_APPROVAL') return <Approval call={call} decide={decide} />;
  return (
    <details className="call" data-status={call.status}>
      <summary>
        <Icon name="tool" />
        <span className="call-name">{call.name}</span>
        <span className="call-state">
          {isRunning && <span className="spinner" aria-hidden="true" />}
          {states[call.status] ?? call.status}
        </span>
      </summary>
      <div className="call-body">
        <Value label="Arguments" text={pretty(call.arguments)} />
        {call.error ? <Value label="Error" text={call.error} /> : null}
        {call.result === null || call.result === undefined ? null : (
          <Value label="Result" text={JSON.stringify(call.result, null, 2)} />
        )}
      </div>
    </details>
  );
}

function Approval({ call, decide }: { readonly call: ShownCall; readonly decide: Decide }) {
  const original = pretty(call.arguments);
  const [draft, setDraft] = useState<string | null>(null);
  const [isSent, setSent] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const send = async (approve: boolean) => {
    setSent(true);
    setProblem(null);
    try {
      await (draft !== null && approve && draft !== original ? decide(true, draft) : decide(approve));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'The decision did not arrive.');
      setSent(false);
    }
  };
  return (
    <section className="approval" aria-label={`Approval of ${call.name}`}>
      <p className="approval-title">
        <Icon name="shield" />
        <span>
          <strong>{call.name}</strong> needs your approval
        </span>
      </p>
      {draft === null ? (
        <Value label="Arguments" text={original} />
      ) : (
        <label className="field">
          Arguments
          <textarea rows={5} spellCheck={false} value={draft} onChange={(event) => setDraft(event.target.value)} />
        </label>
      )}
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <div className="buttons">
        <button type="button" className="button primary" disabled={isSent} onClick={() => send(true)}>
          Approve
        </button>
        <button type="button" className="button" disabled={isSent} onClick={() => send(false)}>
          Deny
        </button>
        {draft === null && (
          <button type="button" className="button quiet" disabled={isSent} onClick={() => setDraft(original)}>
            Edit arguments
          </button>
        )}
      </div>
    </section>
  );
}

function Value({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div className="value">
      <span className="value-label">{label}</span>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <pre tabIndex={0} dir="ltr">
        {text}
      </pre>
    </div>
  );
}

function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
