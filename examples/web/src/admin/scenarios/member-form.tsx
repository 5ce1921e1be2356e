import { CheckList, PathProblem, TextField } from '../parts/form.tsx';
import { describeHandoff, removeMember, type ScenarioDraft, setHandoffs } from './scenario-draft.ts';

interface MemberFormProps {
  readonly draft: ScenarioDraft;
  /** The place of the member in the graph, by which errors name it. */
  readonly index: number;
  readonly nameOf: (agentId: string) => string;
  readonly onChange: (draft: ScenarioDraft) => void;
}

/** An agent of a scenario: whether conversations begin with it, and to whom it hands over. */
export function MemberForm({ draft, index, nameOf, onChange }: MemberFormProps) {
  const member = draft.members[index];
  if (!member) return null;
  const { agentId, handoffs } = member;
  const path = `input.agents.${index}`;
  const others = draft.members.filter((one) => one.agentId !== agentId);
  const isRoot = draft.rootAgentId === agentId;
  return (
    <fieldset className="member" id={agentId} tabIndex={-1}>
      <legend>
        <bdi>{nameOf(agentId)}</bdi>
      </legend>
      <PathProblem path={`${path}.agentId`} />
      <div className="bar">
        <label className="check">
          <input
            type="radio"
            name="root"
            checked={isRoot}
            onChange={() => onChange({ ...draft, rootAgentId: agentId })}
          />
          Conversations begin here
        </label>
        <button type="button" className="button" onClick={() => onChange(removeMember(draft, agentId))}>
          Remove <span className="hidden">{nameOf(agentId)}</span>
        </button>
      </div>
      {isRoot && <PathProblem path="input.rootAgentId" />}
      {others.length > 0 && (
        <CheckList
          label="Hands over to"
          path={`${path}.handoffs`}
          options={others.map((one) => [one.agentId, nameOf(one.agentId)] as const)}
          values={handoffs.map(({ toAgentId }) => toAgentId)}
          onChange={(targets) => onChange(setHandoffs(draft, agentId, targets))}
        />
      )}
      {handoffs.map(({ toAgentId, description }, position) => (
        <TextField
          key={toAgentId}
          label={`When to ${nameOf(toAgentId)}`}
          path={`${path}.handoffs.${position}.description`}
          value={description}
          onChange={(text) => onChange(describeHandoff(draft, agentId, toAgentId, text))}
        />
      ))}
    </fieldset>
  );
}
