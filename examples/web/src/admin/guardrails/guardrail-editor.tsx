import { useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  GuardrailDetailsFragmentDoc,
  GuardrailsToEditDocument,
  MemberChoicesDocument,
  ScenarioDetailsFragmentDoc,
  SetGuardrailsDocument,
  UpdateScenarioDocument,
} from '../generated/graphql.ts';
import { Form } from '../parts/form.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { draftScenario, readScenario } from '../scenarios/scenario-draft.ts';
import { draftGuardrail, emptyGuardrail, type GuardrailDraft, readGuardrail } from './guardrail-draft.ts';
import { GuardrailForm } from './guardrail-form.tsx';
import { TextTryout } from './text-tryout.tsx';

type Save = (guardrails: readonly GuardrailDraft[]) => Promise<unknown>;

/** The guardrails of an agent or a scenario, and a text to try them on. */
export function GuardrailEditor({ id }: { readonly id: string }) {
  const [{ data, error }] = useQuery({ query: GuardrailsToEditDocument, variables: { id } });
  const ofAgent = useChange(SetGuardrailsDocument, ['Agent']);
  const ofScenario = useChange(UpdateScenarioDocument, ['Scenario']);
  const back = { to: ['guardrails'], title: 'Guardrails' };
  const node = data?.node;
  if (node?.__typename === 'Agent') {
    const stored = readFragment(GuardrailDetailsFragmentDoc, node.guardrails).map(draftGuardrail);
    const save: Save = (guardrails) => ofAgent.run({ id, guardrails: guardrails.map(readGuardrail) });
    return (
      <Page title={node.name} back={back}>
        <GuardrailList stored={stored} change={ofAgent} save={save} />
        <Section title="Try a text">
          <TextTryout of={{ agentId: id }} />
        </Section>
      </Page>
    );
  }
  if (node?.__typename === 'Scenario') {
    const scenario = readFragment(ScenarioDetailsFragmentDoc, node);
    const draft = draftScenario(scenario);
    // An update replaces the whole scenario.
    const save: Save = (guardrails) => ofScenario.run({ id, input: readScenario({ ...draft, guardrails }) });
    return (
      <Page title={scenario.name} back={back}>
        <GuardrailList stored={draft.guardrails} change={ofScenario} save={save} />
        <Section title="Try a text">
          <TextTryout of={{ scenarioKey: scenario.key }} />
        </Section>
      </Page>
    );
  }
  return error ? <Problem error={error} /> : <Loading />;
}

interface GuardrailListProps {
  readonly stored: readonly GuardrailDraft[];
  readonly change: Pick<ReturnType<typeof useChange>, 'refusal' | 'isRunning' | 'isDone'>;
  readonly save: Save;
}

function GuardrailList({ stored, change: { refusal, isRunning, isDone }, save }: GuardrailListProps) {
  const [guardrails, setGuardrails] = useState(stored);
  const [{ data }] = useQuery({ query: MemberChoicesDocument });
  const classifiers = data?.agents.edges.map(({ node }) => node).filter(({ isShared }) => isShared) ?? [];
  return (
    <Form
      save="Save"
      refusal={refusal}
      isRunning={isRunning}
      isDone={isDone}
      onSave={() => save(guardrails)}
      actions={
        <button type="button" className="button" onClick={() => setGuardrails([...guardrails, emptyGuardrail])}>
          Add a guardrail
        </button>
      }
    >
      {guardrails.length === 0 && <p className="muted">Nothing is checked.</p>}
      {guardrails.map((draft, index) => (
        <GuardrailForm
          // biome-ignore lint/suspicious/noArrayIndexKey: errors name a guardrail by its place, and so does the form
          key={index}
          draft={draft}
          index={index}
          classifiers={classifiers}
          onChange={(changed) => setGuardrails(guardrails.with(index, changed))}
          remove={() => setGuardrails(guardrails.toSpliced(index, 1))}
        />
      ))}
    </Form>
  );
}
