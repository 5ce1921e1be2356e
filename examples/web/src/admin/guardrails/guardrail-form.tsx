import type { GuardrailStage, PiiKind } from '../generated/graphql.ts';
import { CheckList, SelectField, TextField } from '../parts/form.tsx';
import type { GuardrailDraft } from './guardrail-draft.ts';

interface GuardrailFormProps {
  readonly draft: GuardrailDraft;
  readonly index: number;
  /** Agents that can be asked. */
  readonly classifiers: readonly { readonly id: string; readonly name: string }[];
  readonly onChange: (draft: GuardrailDraft) => void;
  readonly remove: () => void;
}

const checks = [
  ['pii', 'Personal data'],
  ['patterns', 'Patterns'],
  ['moderation', 'Moderation by the provider'],
  ['classifier', 'A question to an agent'],
] as const;

export const stages = [
  ['INPUT', 'What a user writes'],
  ['OUTPUT', 'What an agent answers'],
  ['TOOL_INPUT', 'What a tool is sent'],
  ['TOOL_OUTPUT', 'What a tool returns'],
] as const satisfies readonly (readonly [GuardrailStage, string])[];

const kinds = [
  ['EMAIL', 'E-mail addresses'],
  ['PHONE', 'Telephone numbers'],
  ['CREDIT_CARD', 'Card numbers'],
  ['IBAN', 'Bank accounts'],
  ['IP_ADDRESS', 'IP addresses'],
  ['NATIONAL_ID', 'National ids'],
] as const satisfies readonly (readonly [PiiKind, string])[];

const actions = [
  ['BLOCK', 'Stop the turn'],
  ['REDACT', 'Replace what was found'],
  ['ALLOW', 'Only record it'],
] as const;

const modes = [
  ['BLOCKING', 'Before anything is shown'],
  ['HOLD_BACK', 'Piece by piece, before it is shown'],
  ['PARALLEL', 'Beside the answer, which may be withdrawn'],
] as const;

const failures = [
  ['CLOSED', 'Stop the turn'],
  ['OPEN', 'Let the text pass'],
] as const;

/** The settings of a guardrail. */
export function GuardrailForm({ draft, index, classifiers, onChange, remove }: GuardrailFormProps) {
  const path = `input.guardrails.${index}`;
  const set = (change: Partial<GuardrailDraft>) => onChange({ ...draft, ...change });
  const name = draft.name || `Guardrail ${index + 1}`;
  return (
    <fieldset className="member">
      <legend>
        <bdi>{name}</bdi>
      </legend>
      <div className="pair">
        <TextField label="Name" path={`${path}.name`} value={draft.name} onChange={(value) => set({ name: value })} />
        <SelectField
          label="Looks for"
          path={`${path}.check`}
          value={draft.kind}
          options={checks}
          onChange={(kind) => set({ kind })}
        />
      </div>
      <CheckFields draft={draft} path={`${path}.check`} classifiers={classifiers} set={set} />
      <CheckList
        label="In"
        path={`${path}.stages`}
        options={stages}
        values={draft.stages}
        onChange={(values) => set({ stages: stages.map(([stage]) => stage).filter((stage) => values.includes(stage)) })}
      />
      <div className="pair">
        <SelectField
          label="Then"
          path={`${path}.action`}
          value={draft.action}
          options={actions}
          onChange={(action) => set({ action })}
        />
        <SelectField
          label="When it checks"
          path={`${path}.mode`}
          value={draft.mode}
          options={modes}
          onChange={(mode) => set({ mode })}
        />
        <SelectField
          label="If the check itself fails"
          path={`${path}.onError`}
          value={draft.onError}
          options={failures}
          onChange={(onError) => set({ onError })}
        />
        {draft.mode === 'HOLD_BACK' && (
          <TextField
            label="Characters held back"
            path={`${path}.window`}
            type="number"
            hint="Empty: whole sentences."
            value={draft.window}
            onChange={(window) => set({ window })}
          />
        )}
      </div>
      <div>
        <button type="button" className="button" onClick={remove}>
          Remove <span className="hidden">{name}</span>
        </button>
      </div>
    </fieldset>
  );
}

interface CheckFieldsProps extends Pick<GuardrailFormProps, 'draft' | 'classifiers'> {
  readonly path: string;
  readonly set: (change: Partial<GuardrailDraft>) => void;
}

function CheckFields({ draft, path, classifiers, set }: CheckFieldsProps) {
  switch (draft.kind) {
    case 'pii':
      return (
        <CheckList
          label="Kinds"
          path={`${path}.pii`}
          options={kinds}
          values={draft.kinds}
          onChange={(values) => set({ kinds: kinds.map(([kind]) => kind).filter((kind) => values.includes(kind)) })}
        />
      );
    case 'patterns':
      return (
        <TextField
          label="Patterns of RE2, one in each line"
          path={`${path}.patterns`}
          rows={3}
          isCode
          placeholder="(?i)\bmy password is\b"
          value={draft.patterns}
          onChange={(patterns) => set({ patterns })}
        />
      );
    case 'moderation':
      return (
        <>
          <div className="pair">
            <TextField
              label="Model"
              path={`${path}.moderation.model`}
              value={draft.model}
              onChange={(model) => set({ model })}
            />
            <TextField
              label="Threshold, 0 to 1"
              path={`${path}.moderation.threshold`}
              type="number"
              hint="Empty: the provider decides."
              value={draft.threshold}
              onChange={(threshold) => set({ threshold })}
            />
          </div>
          <TextField
            label="Categories, one in each line"
            path={`${path}.moderation.categories`}
            rows={2}
            hint="None: all."
            value={draft.categories}
            onChange={(categories) => set({ categories })}
          />
        </>
      );
    case 'classifier':
      return (
        <div className="pair">
          <TextField
            label="Question, to be answered by yes or no"
            path={`${path}.classifier.question`}
            value={draft.question}
            onChange={(question) => set({ question })}
          />
          <SelectField
            label="Agent"
            path={`${path}.classifier.agentId`}
            value={draft.agentId}
            options={[['', 'Choose one'], ...classifiers.map(({ id, name }) => [id, name] as const)]}
            onChange={(agentId) => set({ agentId })}
          />
        </div>
      );
  }
}
