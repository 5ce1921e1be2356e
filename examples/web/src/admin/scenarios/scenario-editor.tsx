import { useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  CreateScenarioDocument,
  DeleteScenarioDocument,
  MemberChoicesDocument,
  type ScenarioDetailsFragment,
  ScenarioDetailsFragmentDoc,
  ScenarioToEditDocument,
  UpdateScenarioDocument,
} from '../generated/graphql.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { CheckField, Form, TextField } from '../parts/form.tsx';
import { AdminLink } from '../parts/link.tsx';
import { Page } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { AddMember } from './add-member.tsx';
import { Graph } from './graph.tsx';
import { MemberForm } from './member-form.tsx';
import { OrchestrationForm } from './orchestration-form.tsx';
import { SaveOver } from './save-over.tsx';
import { addMember, draftScenario, readScenario, type ScenarioDraft } from './scenario-draft.ts';

const back = { to: ['scenarios'], title: 'Scenarios' };

/** A new scenario, or one to be changed and deleted. */
export function ScenarioEditor({ id }: { readonly id: string | null }) {
  const [{ data, error }] = useQuery({
    query: ScenarioToEditDocument,
    variables: { id: id ?? '' },
    pause: id === null,
  });
  const scenario = readFragment(ScenarioDetailsFragmentDoc, data?.scenario ?? null);
  if (id === null) {
    return (
      <Page title="New scenario" back={back}>
        <ScenarioForm scenario={null} />
      </Page>
    );
  }
  if (!scenario) return error ? <Problem error={error} /> : <Loading />;
  return (
    <Page title={scenario.name} back={back} actions={<ScenarioActions scenario={scenario} />}>
      <ScenarioForm scenario={scenario} />
    </Page>
  );
}

function ScenarioActions({ scenario }: { readonly scenario: ScenarioDetailsFragment }) {
  const remove = useChange(DeleteScenarioDocument, ['Scenario']);
  return (
    <>
      <Badge>version {scenario.version}</Badge>
      <AdminLink className="button" to={['scenarios', scenario.id, 'versions']}>
        History
      </AdminLink>
      <ConfirmButton
        label="Delete"
        question={`Delete the scenario ${scenario.name}?`}
        act={async () => (await remove.run({ id: scenario.id })) && openAdmin('scenarios')}
      />
      {remove.refusal && (
        <p className="problem" role="alert">
          {remove.refusal.message}
        </p>
      )}
    </>
  );
}

function ScenarioForm({ scenario }: { readonly scenario: ScenarioDetailsFragment | null }) {
  const [draft, setDraft] = useState(() => draftScenario(scenario));
  // The version from which the draft was made: what is read again meanwhile may be another one.
  const [version, setVersion] = useState(scenario?.version ?? 0);
  const [{ data }] = useQuery({ query: MemberChoicesDocument });
  const create = useChange(CreateScenarioDocument, ['Scenario']);
  const update = useChange(UpdateScenarioDocument, ['Scenario']);
  const { refusal, isRunning, isDone } = scenario ? update : create;
  const set = (change: Partial<ScenarioDraft>) => setDraft({ ...draft, ...change });

  const shared = data?.agents.edges.map(({ node }) => node).filter(({ isShared }) => isShared) ?? [];
  const names = new Map(
    [...shared, ...(scenario?.agents.map(({ agent }) => agent) ?? [])].map((one) => [one.id, one.name]),
  );
  const nameOf = (agentId: string) => names.get(agentId) ?? agentId;
  const wrong = /^input\.agents\.(\d+)/.exec(refusal?.field ?? '')?.[1];
  const wrongAgentId = draft.members[Number(wrong)]?.agentId ?? null;

  const save = async (expectedVersion: number) => {
    const input = readScenario(draft);
    if (scenario) {
      const saved = await update.run({ id: scenario.id, input, expectedVersion });
      setVersion(readFragment(ScenarioDetailsFragmentDoc, saved?.updateScenario)?.version ?? version);
      return;
    }
    const created = readFragment(ScenarioDetailsFragmentDoc, (await create.run({ input }))?.createScenario);
    if (created) openAdmin('scenarios', created.id);
  };
  return (
    <Form
      save={scenario ? 'Save' : 'Create'}
      refusal={refusal}
      isRunning={isRunning}
      isDone={isDone}
      onSave={() => save(version)}
    >
      <div className="pair">
        <TextField label="Name" path="input.name" value={draft.name} onChange={(name) => set({ name })} />
        <TextField
          label="Key"
          path="input.key"
          hint="Clients choose the scenario by it."
          value={draft.key}
          onChange={(key) => set({ key })}
        />
      </div>
      <TextField
        label="Description"
        path="input.description"
        value={draft.description}
        onChange={(description) => set({ description })}
      />
      <CheckField
        label="New conversations may use it"
        value={draft.isActive}
        onChange={(isActive) => set({ isActive })}
      />
      {scenario?.unreadGuardrails ? (
        <p className="notice">
          Some of its guardrails were written by a newer server and cannot be shown. Saving removes them.
        </p>
      ) : null}
      {draft.members.length > 0 && <Graph draft={draft} nameOf={nameOf} wrongAgentId={wrongAgentId} />}
      <AddMember
        choices={shared.filter(({ id }) => !draft.members.some(({ agentId }) => agentId === id))}
        add={(agentId) => setDraft(addMember(draft, agentId))}
      />
      {draft.members.map(({ agentId }, index) => (
        <MemberForm key={agentId} draft={draft} index={index} nameOf={nameOf} onChange={setDraft} />
      ))}
      <OrchestrationForm draft={draft} classifiers={shared} onChange={set} />
      {scenario && refusal?.code === 'CONFLICT' && <SaveOver id={scenario.id} version={version} save={save} />}
    </Form>
  );
}
