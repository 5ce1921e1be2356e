import { useState } from 'react';
import { type GuardrailStage, TryTextDocument, type TryTextMutation } from '../generated/graphql.ts';
import { Form, SelectField, TextField } from '../parts/form.tsx';
import { Badge } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { stages } from './guardrail-form.tsx';

const words = { ALLOW: 'passes', BLOCK: 'stops the turn', REDACT: 'is redacted' } as const;
const tones = { ALLOW: 'good', BLOCK: 'bad', REDACT: 'warn' } as const;

/** Checks a text with the guardrails that are saved, outside of any turn. */
export function TextTryout({ of }: { readonly of: { readonly agentId: string } | { readonly scenarioKey: string } }) {
  const [text, setText] = useState('');
  const [stage, setStage] = useState<GuardrailStage>('INPUT');
  const [decision, setDecision] = useState<TryTextMutation['moderate'] | null>(null);
  const { run, refusal, isRunning } = useChange(TryTextDocument, []);
  const check = async () => {
    setDecision(null);
    setDecision((await run({ input: { ...of, text, stage } }))?.moderate ?? null);
  };
  return (
    <>
      <Form save="Check" refusal={refusal} isRunning={isRunning} onSave={check}>
        <TextField label="Text" path="input.text" rows={3} value={text} onChange={setText} />
        <SelectField label="As" path="input.stage" value={stage} options={stages} onChange={setStage} />
      </Form>
      <div className="result" role="status">
        {isRunning && <p className="muted">It is checked…</p>}
        {decision && (
          <>
            <p>
              The text <Badge tone={tones[decision.action]}>{words[decision.action]}</Badge>
            </p>
            {decision.reasoning && (
              <p className="muted" dir="auto">
                {decision.reasoning}
              </p>
            )}
            <ul className="findings">
              {decision.categories.map(({ name, flagged, score }) => (
                <li key={name}>
                  <Badge tone={flagged ? 'warn' : 'plain'}>{name}</Badge> {score.toFixed(2)}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </>
  );
}
