import { useState } from 'react';
import { SelectField } from '../parts/form.tsx';

interface AddMemberProps {
  /** Shared agents that are no members yet. */
  readonly choices: readonly { readonly id: string; readonly name: string }[];
  readonly add: (agentId: string) => void;
}

/** Takes an agent into a scenario. */
export function AddMember({ choices, add }: AddMemberProps) {
  const [chosen, setChosen] = useState('');
  const agentId = choices.some(({ id }) => id === chosen) ? chosen : (choices[0]?.id ?? '');
  return (
    <div className="bar">
      <SelectField
        label="Shared agent"
        path="member to add"
        value={agentId}
        options={choices.map(({ id, name }) => [id, name] as const)}
        onChange={setChosen}
      />
      <button type="button" className="button" disabled={agentId === ''} onClick={() => add(agentId)}>
        Add it
      </button>
    </div>
  );
}
