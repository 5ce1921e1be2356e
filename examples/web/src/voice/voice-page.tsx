import { request } from '@switchboard/client';
import { useEffect, useRef, useState } from 'react';
import { socket } from '../client.ts';
import { type ScenariosQuery, scenariosDocument } from './generated/operations.ts';
import { type CallState, noCall, VoiceSession } from './voice-session.ts';
import './voice.css';

/** Where the provider takes calls, from the server. Empty: it has the demo model. */
const callsUrl = document.querySelector('meta[name="switchboard-calls"]')?.getAttribute('content') ?? '';

/** Calls by voice with the agents of a scenario. */
export default function VoicePage() {
  const [state, show] = useState<CallState>(noCall);
  const call = useRef<VoiceSession | null>(null);
  const [scenarioKey, setScenarioKey] = useState('');
  const { scenarios, problem } = useScenarios();
  const isOpen = state.status === 'OPEN' || state.status === 'DEMO';
  const chosen = scenarioKey || scenarios[0]?.key;
  useEffect(() => () => void call.current?.end(), []);

  const start = () => {
    if (chosen === undefined) return;
    call.current = new VoiceSession(show);
    void call.current.start(chosen, callsUrl);
  };
  return (
    <main className="voice">
      <h1>Call an agent</h1>
      <p>
        <a href="/">Back to the chat</a>
      </p>
      <label className="field">
        Scenario
        <select value={chosen ?? ''} disabled={isOpen} onChange={(event) => setScenarioKey(event.target.value)}>
          {scenarios.map(({ key, name }) => (
            <option key={key} value={key}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <div className="buttons">
        {isOpen ? (
          <OpenCall call={call.current} state={state} />
        ) : (
          <button
            type="button"
            className="button primary"
            disabled={chosen === undefined || state.status === 'STARTING'}
            onClick={start}
          >
            {state.status === 'STARTING' ? 'Calling…' : 'Call'}
          </button>
        )}
      </div>
      {(problem ?? state.problem) && (
        <p className="problem" role="alert">
          {problem ?? state.problem}
        </p>
      )}
      {state.status === 'DEMO' && <Missing />}
      {state.question && (
        <section className="card" aria-label={`Approval of ${state.question.tool}`}>
          <p>
            <strong>{state.question.tool}</strong> needs your approval: <code>{state.question.args}</code>
          </p>
          <div className="buttons">
            <button type="button" className="button primary" onClick={() => state.question?.decide(true)}>
              Approve
            </button>
            <button type="button" className="button" onClick={() => state.question?.decide(false)}>
              Deny
            </button>
          </div>
        </section>
      )}
      <p role="status">{isOpen && `You talk to ${state.agent}`}</p>
      <ol className="transcript" aria-label="Transcript" aria-live="polite">
        {state.lines.map(({ id, speaker, text }) => (
          <li key={id} dir="auto">
            <strong>{speaker}</strong> {text}
          </li>
        ))}
      </ol>
      {state.conversationId && (
        <p>
          <a href={`/#${state.conversationId}`}>Open the conversation of this call</a>
        </p>
      )}
      {state.recordingUrl && (
        <p>
          <a href={state.recordingUrl} download="call.webm">
            Download the recording
          </a>
        </p>
      )}
      <Loudspeaker stream={state.remote} />
    </main>
  );
}

/** The buttons of a call that goes on. */
function OpenCall({ call, state }: { readonly call: VoiceSession | null; readonly state: CallState }) {
  const talk = (isTalking: boolean) => () => call?.talk(isTalking);
  const isKey = (key: string) => key === ' ' || key === 'Enter';
  return (
    <>
      <button
        type="button"
        className="button primary"
        aria-pressed={state.isTalking}
        onPointerDown={talk(true)}
        onPointerUp={talk(false)}
        onPointerLeave={talk(false)}
        onBlur={talk(false)}
        onKeyDown={({ key, repeat }) => isKey(key) && !repeat && call?.talk(true)}
        onKeyUp={({ key }) => isKey(key) && call?.talk(false)}
      >
        Hold to talk
      </button>
      <button type="button" className="button" onClick={() => call?.interrupt()}>
        Interrupt
      </button>
      <button type="button" className="button" onClick={() => void call?.end()}>
        Hang up
      </button>
    </>
  );
}

function Missing() {
  return (
    <section className="card">
      <h2>What is missing for a real call</h2>
      <p>
        The server has the demo model, which has no voice. Set <code>OPENAI_API_KEY</code>, and the page begins the call
        with the key of its session by WebRTC. Until then a script stands in for what is said: it takes the same way
        into the conversation, with its agents, tools and guardrails. Your microphone is recorded for you alone.
      </p>
    </section>
  );
}

function Loudspeaker({ stream }: { readonly stream: MediaStream | null }) {
  const audio = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    if (audio.current) audio.current.srcObject = stream;
  }, [stream]);
  // biome-ignore lint/a11y/useMediaCaption: the transcript on the page is its caption
  return <audio ref={audio} autoPlay />;
}

function useScenarios() {
  const [answer, setAnswer] = useState<{ data: ScenariosQuery | null; problem: string | null }>({
    data: null,
    problem: null,
  });
  useEffect(() => {
    request<ScenariosQuery>(socket, scenariosDocument).then(
      (data) => setAnswer({ data, problem: null }),
      (error: unknown) => setAnswer({ data: null, problem: error instanceof Error ? error.message : 'Offline.' }),
    );
  }, []);
  const scenarios = (answer.data?.scenarios.edges ?? []).map(({ node }) => node).filter(({ isActive }) => isActive);
  return { scenarios, problem: answer.problem };
}
