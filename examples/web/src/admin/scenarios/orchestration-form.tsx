import { SelectField, TextField } from '../parts/form.tsx';
import type { ScenarioDraft } from './scenario-draft.ts';

interface OrchestrationProps {
  readonly draft: ScenarioDraft;
  /** Shared agents. */
  readonly classifiers: readonly { readonly id: string; readonly name: string }[];
  readonly onChange: (change: Partial<ScenarioDraft>) => void;
}

const modes = [
  ['OFF', 'By handoffs only'],
  ['FIRST_TURN', 'By a classifier, in the first turn'],
  ['EVERY_TURN', 'By a classifier, in every turn'],
] as const;

/** How the agent that answers is chosen. */
export function OrchestrationForm({ draft, classifiers, onChange }: OrchestrationProps) {
  return (
    <>
      <SelectField
        label="Who answers is chosen"
        path="input.orchestration.mode"
        value={draft.mode}
        options={modes}
        onChange={(mode) => onChange({ mode })}
      />
      {draft.mode !== 'OFF' && (
        <>
          <div className="pair">
            <SelectField
              label="Classifier"
              path="input.orchestration.classifierAgentId"
              value={draft.classifierAgentId}
              options={[
                ['', 'The model of the first agent'],
                ...classifiers.map(({ id, name }) => [id, name] as const),
              ]}
              onChange={(classifierAgentId) => onChange({ classifierAgentId })}
            />
            <TextField
              label="How sure it has to be, 0 to 1"
              path="input.orchestration.threshold"
              type="number"
              value={draft.threshold}
              onChange={(threshold) => onChange({ threshold })}
            />
          </div>
          <TextField
            label="Instructions of the classifier"
            path="input.orchestration.instructions"
            rows={4}
            value={draft.instructions}
            onChange={(instructions) => onChange({ instructions })}
          />
        </>
      )}
    </>
  );
}
