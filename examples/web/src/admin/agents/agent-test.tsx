import { useState } from 'react';
import { CodeBlock } from '../parts/code-block.tsx';
import { Form, TextField } from '../parts/form.tsx';
import { Badge } from '../parts/states.tsx';
import { type AgentTestState, useAgentTest } from './use-agent-test.ts';

/** Asks the model of an agent once, without tools: whether its provider answers, how fast, and what. */
export function AgentTest({ id }: { readonly id: string }) {
  const [prompt, setPrompt] = useState('Say hello.');
  const { state, refusal, isRunning, run, stop } = useAgentTest(id);
  return (
    <>
      <Form
        save="Test"
        refusal={refusal}
        isRunning={isRunning}
        onSave={() => run(prompt)}
        actions={
          isRunning && (
            <button type="button" className="button" onClick={stop}>
              Stop
            </button>
          )
        }
      >
        <TextField label="Prompt" path="prompt" value={prompt} onChange={setPrompt} />
      </Form>
      {state && !refusal && <TestFacts state={state} isRunning={isRunning} />}
      {state?.text && (
        <section className="result" aria-label="Answer of the test" aria-busy={isRunning}>
          <CodeBlock text={state.text} />
        </section>
      )}
    </>
  );
}

/** Where a test stands. The text of the answer is not in it: a screen reader would read it again with each piece. */
function TestFacts({ state, isRunning }: { readonly state: AgentTestState; readonly isRunning: boolean }) {
  const { result, timeToFirstTokenMs } = state;
  const [tone, word] = result
    ? result.ok
      ? (['good', 'works'] as const)
      : (['bad', result.problem ?? 'failed'] as const)
    : (['plain', isRunning ? 'running' : 'stopped'] as const);
  const facts: readonly (readonly [string, string | null | undefined])[] = [
    ['First text after', timeToFirstTokenMs === null ? null : `${timeToFirstTokenMs} ms`],
    ['Whole answer after', result && `${result.latencyMs} ms`],
    ['Tokens', result?.usage.totalTokens.toLocaleString()],
  ];
  return (
    <div className="result" role="status">
      <dl className="facts">
        <div>
          <dt>Result</dt>
          <dd>
            <Badge tone={tone}>{word}</Badge>
          </dd>
        </div>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value ?? '–'}</dd>
          </div>
        ))}
      </dl>
      {result?.error && <p className="problem">{result.error.message}</p>}
    </div>
  );
}
