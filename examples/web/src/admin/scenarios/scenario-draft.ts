import { readFragment } from '../generated/fragment-masking.ts';
import type {
  OrchestrationMode,
  ScenarioDetailsFragment,
  ScenarioInput,
  ScenarioVersionDetailsFragment,
} from '../generated/graphql.ts';
import { GuardrailDetailsFragmentDoc } from '../generated/graphql.ts';
import { draftGuardrail, type GuardrailDraft, readGuardrail } from '../guardrails/guardrail-draft.ts';
import { readText } from '../parts/json.ts';

interface HandoffDraft {
  readonly toAgentId: string;
  readonly description: string;
}

export interface MemberDraft {
  readonly agentId: string;
  readonly handoffs: readonly HandoffDraft[];
}

/** A scenario as it stands in its form. */
export interface ScenarioDraft {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly isActive: boolean;
  readonly projectId: string | null;
  readonly rootAgentId: string;
  readonly members: readonly MemberDraft[];
  readonly mode: OrchestrationMode;
  readonly threshold: string;
  readonly instructions: string;
  readonly classifierAgentId: string;
  readonly guardrails: readonly GuardrailDraft[];
}

const empty: ScenarioDraft = {
  key: '',
  name: '',
  description: '',
  isActive: true,
  projectId: null,
  rootAgentId: '',
  members: [],
  mode: 'OFF',
  threshold: '0.6',
  instructions: '',
  classifierAgentId: '',
  guardrails: [],
};

/** What a form takes of a stored scenario. */
type Content = Pick<
  ScenarioDetailsFragment,
  'key' | 'name' | 'description' | 'isActive' | 'projectId' | 'rootAgent' | 'agents' | 'orchestration' | 'guardrails'
>;

/** A stored scenario, or a new one, as its form begins. */
export function draftScenario(scenario: Content | null): ScenarioDraft {
  if (!scenario) return empty;
  const { key, name, isActive, orchestration } = scenario;
  return {
    key,
    name,
    isActive,
    description: scenario.description ?? '',
    projectId: scenario.projectId ?? null,
    rootAgentId: scenario.rootAgent.id,
    members: scenario.agents.map(({ agent, handoffs }) => ({
      agentId: agent.id,
      handoffs: handoffs.map(({ toAgent, description }) => ({ toAgentId: toAgent.id, description: description ?? '' })),
    })),
    mode: orchestration.mode,
    threshold: String(orchestration.threshold),
    instructions: orchestration.instructions ?? '',
    classifierAgentId: orchestration.classifier?.id ?? '',
    guardrails: readFragment(GuardrailDetailsFragmentDoc, scenario.guardrails).map(draftGuardrail),
  };
}

/** A version of a scenario in the same form, to be shown beside it. */
export function draftVersion(version: ScenarioVersionDetailsFragment): ScenarioDraft {
  const { agents, project } = version;
  const [root] = agents;
  return draftScenario({
    ...version,
    projectId: project?.key ?? null,
    rootAgent: { id: root?.agent.id ?? '' },
  });
}

/** What is saved: the whole scenario, because an update replaces it. */
export function readScenario(draft: ScenarioDraft): ScenarioInput {
  const { key, name, isActive, projectId, rootAgentId, members, mode } = draft;
  return {
    key,
    name,
    isActive,
    projectId,
    rootAgentId,
    description: readText(draft.description),
    agents: members.map(({ agentId, handoffs }) => ({
      agentId,
      handoffs: handoffs.map(({ toAgentId, description }) => ({ toAgentId, description: readText(description) })),
    })),
    orchestration: {
      mode,
      threshold: Number(draft.threshold),
      instructions: readText(draft.instructions),
      classifierAgentId: readText(draft.classifierAgentId),
    },
    guardrails: draft.guardrails.map(readGuardrail),
  };
}

/** A graph with one more member. The first one is where conversations begin. */
export function addMember(draft: ScenarioDraft, agentId: string): ScenarioDraft {
  const members = [...draft.members, { agentId, handoffs: [] }];
  return { ...draft, members, rootAgentId: draft.rootAgentId || agentId };
}

/** A graph without a member, and without the ways to it. */
export function removeMember(draft: ScenarioDraft, agentId: string): ScenarioDraft {
  const members = draft.members
    .filter((member) => member.agentId !== agentId)
    .map((member) => ({ ...member, handoffs: member.handoffs.filter(({ toAgentId }) => toAgentId !== agentId) }));
  const rootAgentId = draft.rootAgentId === agentId ? (members[0]?.agentId ?? '') : draft.rootAgentId;
  return { ...draft, members, rootAgentId };
}

/** A graph in which a member hands over to these, and keeps what is said of those that stay. */
export function setHandoffs(draft: ScenarioDraft, agentId: string, targets: readonly string[]): ScenarioDraft {
  return changeMember(draft, agentId, ({ handoffs }) =>
    targets.map((toAgentId) => handoffs.find((one) => one.toAgentId === toAgentId) ?? { toAgentId, description: '' }),
  );
}

/** A graph in which it is said when a member hands over to another one. */
export function describeHandoff(draft: ScenarioDraft, from: string, to: string, description: string): ScenarioDraft {
  return changeMember(draft, from, ({ handoffs }) =>
    handoffs.map((one) => (one.toAgentId === to ? { ...one, description } : one)),
  );
}

function changeMember(
  draft: ScenarioDraft,
  agentId: string,
  change: (member: MemberDraft) => readonly HandoffDraft[],
): ScenarioDraft {
  const members = draft.members.map((member) =>
    member.agentId === agentId ? { ...member, handoffs: change(member) } : member,
  );
  return { ...draft, members };
}
