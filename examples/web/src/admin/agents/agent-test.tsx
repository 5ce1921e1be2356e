import { useState } from 'react';
import { TestAgentDocument, type TestAgentMutation } from '../generated/graphql.ts';
import { CodeBlock } from '../parts/code-block.tsx';
import { Form, TextField } from '../parts/form.tsx';
import { Badge } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';

/** Asks the model of an agent once, without tools: whether its provider answers, and how fast. */
export function AgentTest({ id }: { readonly id: string }) {
  const [prompt, setPrompt] = useState('Say hello.');
  const [result, setResult] = useState<TestAgentMutation['testAgent'] | null>(null);
  const test = useChange(TestAgentDocument, []);
  const run = async () => {
    setResult(null);
    setResult((await test.run({ id, prompt }))?.testAgent ?? null);
  };
  return (
    <>
      <Form save="Test" refusal={test.refusal} isRunning={test.isRunning} onSave={run}>
        <TextField label="Prompt" path="prompt" value={prompt} onChange={setPrompt} />
      </Form>
      <div className="result" role="status">
        {test.isRunning && <p className="muted">The model is asked…</p>}
        {result && (
          <>
            <dl className="facts">
              <div>
                <dt>Result</dt>
                <dd>
                  <Badge tone={result.ok ? 'good' : 'bad'}>{result.ok ? 'works' : (result.problem ?? 'failed')}</Badge>
                </dd>
              </div>
              <div>
                <dt>First text after</dt>
                <dd>{result.timeToFirstTokenMs == null ? '–' : `${result.timeToFirstTokenMs} ms`}</dd>
              </div>
              <div>
                <dt>Whole answer after</dt>
                <dd>{result.latencyMs} ms</dd>
              </div>
              <div>
                <dt>Tokens</dt>
                <dd>{result.usage.totalTokens.toLocaleString()}</dd>
              </div>
            </dl>
            {result.error && <p className="problem">{result.error.message}</p>}
            {result.output && <CodeBlock text={result.output} />}
          </>
        )}
      </div>
    </>
  );
}
