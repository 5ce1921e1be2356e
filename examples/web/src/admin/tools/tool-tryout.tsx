import { useState } from 'react';
import { useQuery } from 'urql';
import { ToolToTryDocument, TryToolDocument, type TryToolMutation } from '../generated/graphql.ts';
import { CodeBlock } from '../parts/code-block.tsx';
import { Form, TextField } from '../parts/form.tsx';
import { readJson, showJson } from '../parts/json.ts';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { backToTools } from './tool-list.tsx';

/** Runs a tool once, with arguments that a person writes. */
export function ToolTryout({ name }: { readonly name: string }) {
  const [{ data, error }] = useQuery({ query: ToolToTryDocument });
  const [args, setArgs] = useState('{}');
  const [result, setResult] = useState<TryToolMutation['executeTool'] | null>(null);
  const change = useChange(TryToolDocument, []);
  const tool = data?.tools.find((one) => one.name === name);
  if (error) return <Problem error={error} />;
  if (!data) return <Loading />;
  const run = async () => {
    setResult(null);
    setResult((await change.run({ name, arguments: readJson(args) }))?.executeTool ?? null);
  };
  return (
    <Page title={name} back={backToTools}>
      <p className="muted">{tool?.description ?? 'There is no such tool.'}</p>
      {tool?.problem && <p className="problem">{tool.problem}</p>}
      {tool && (
        <>
          <Section title="Try it">
            <Form save="Run" refusal={change.refusal} isRunning={change.isRunning} onSave={run}>
              <TextField
                label="Arguments, as JSON"
                path="input.arguments"
                rows={6}
                isCode
                hint="It really runs, as you: also a tool that would ask for an approval."
                value={args}
                onChange={setArgs}
              />
            </Form>
            <div className="result" role="status">
              {change.isRunning && <p className="muted">It runs…</p>}
              {result && (
                <>
                  <p>
                    <Badge tone={result.ok ? 'good' : 'bad'}>{result.ok ? 'done' : 'failed'}</Badge> after{' '}
                    {result.durationMs} ms
                  </p>
                  {result.error && <p className="problem">{result.error}</p>}
                  {result.ok && <CodeBlock text={showJson(result.result)} />}
                </>
              )}
            </div>
          </Section>
          <Section title="Its arguments">
            <CodeBlock text={showJson(tool.parameters)} />
          </Section>
        </>
      )}
    </Page>
  );
}
