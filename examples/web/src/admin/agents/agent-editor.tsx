import { useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  AgentChoicesDocument,
  type AgentDetailsFragment,
  AgentDetailsFragmentDoc,
  AgentToEditDocument,
  CreateAgentDocument,
  DeleteAgentDocument,
  SetDefaultAgentDocument,
  UpdateAgentDocument,
} from '../generated/graphql.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { CheckField, CheckList, Form, TextField } from '../parts/form.tsx';
import { readJson, readText, showJson } from '../parts/json.ts';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { AgentTest } from './agent-test.tsx';
import { AgentTryout } from './agent-tryout.tsx';
import { draftProviders, readProviders } from './provider-draft.ts';
import { ProviderForm } from './provider-form.tsx';

const back = { to: ['agents'], title: 'Agents' };
/** Without it, an agent does nothing with its knowledge bases. */
const searchTool = 'search_knowledge';

/** A new agent, or one to be changed, tested and deleted. */
export function AgentEditor({ id }: { readonly id: string | null }) {
  const [{ data, error }] = useQuery({ query: AgentToEditDocument, variables: { id: id ?? '' }, pause: id === null });
  const agent = readFragment(AgentDetailsFragmentDoc, data?.agent ?? null);
  if (id === null) {
    return (
      <Page title="New agent" back={back}>
        <AgentForm agent={null} />
      </Page>
    );
  }
  if (!agent) return error ? <Problem error={error} /> : <Loading />;
  return (
    <Page title={agent.name} back={back} actions={<AgentActions agent={agent} />}>
      <AgentForm agent={agent} />
      <Section title="Test its model">
        <AgentTest id={agent.id} />
      </Section>
      {agent.isActive && (
        <Section title="Talk to it">
          <AgentTryout id={agent.id} />
        </Section>
      )}
    </Page>
  );
}

function AgentActions({ agent }: { readonly agent: AgentDetailsFragment }) {
  const makeDefault = useChange(SetDefaultAgentDocument, ['Agent']);
  const remove = useChange(DeleteAgentDocument, ['Agent']);
  const refusal = makeDefault.refusal ?? remove.refusal;
  return (
    <>
      {agent.isDefault ? (
        <Badge tone="good">default</Badge>
      ) : (
        <button type="button" className="button" onClick={() => makeDefault.run({ id: agent.id })}>
          Make it the default
        </button>
      )}
      <ConfirmButton
        label="Delete"
        question={`Delete the agent ${agent.name} with its keys? Its messages stay.`}
        act={async () => (await remove.run({ id: agent.id })) && openAdmin('agents')}
      />
      {refusal && (
        <p className="problem" role="alert">
          {refusal.message}
        </p>
      )}
    </>
  );
}

function AgentForm({ agent }: { readonly agent: AgentDetailsFragment | null }) {
  const [draft, setDraft] = useState(() => draftAgent(agent));
  const [providers, setProviders] = useState(() => draftProviders(agent));
  const [{ data: choices }] = useQuery({ query: AgentChoicesDocument });
  const create = useChange(CreateAgentDocument, ['Agent']);
  const update = useChange(UpdateAgentDocument, ['Agent']);
  const { refusal, isRunning, isDone } = agent ? update : create;
  const set = (change: Partial<typeof draft>) => setDraft({ ...draft, ...change });

  const save = async () => {
    const { isShared, ...rest } = draft;
    const input = {
      ...rest,
      description: readText(draft.description),
      outputSchema: readJson(draft.outputSchema),
      ...readProviders(providers, draftProviders(agent)),
    };
    if (!agent) {
      const data = await create.run({ input: { ...input, isShared } });
      const created = readFragment(AgentDetailsFragmentDoc, data?.createAgent);
      if (created) openAdmin('agents', created.id);
      return;
    }
    const data = await update.run({ id: agent.id, input });
    // What was stored, without the key.
    if (data) setProviders(draftProviders(readFragment(AgentDetailsFragmentDoc, data.updateAgent)));
  };

  // Tools that the agent has may be switched off, or their server may be down: they stay in the list.
  const tools = new Set([...(choices?.tools.map(({ name }) => name) ?? []), ...draft.tools]);
  const bases = choices?.knowledgeBases.edges.map(({ node }) => [node.id, node.name] as const) ?? [];
  return (
    <Form save={agent ? 'Save' : 'Create'} refusal={refusal} isRunning={isRunning} isDone={isDone} onSave={save}>
      <TextField label="Name" path="input.name" value={draft.name} onChange={(name) => set({ name })} />
      <TextField
        label="Description"
        path="input.description"
        value={draft.description}
        hint="Other agents read it when they decide to whom they hand over."
        onChange={(description) => set({ description })}
      />
      <TextField
        label="Instructions"
        path="input.instructions"
        rows={10}
        value={draft.instructions}
        onChange={(instructions) => set({ instructions })}
      />
      <CheckList
        label="Tools"
        path="input.tools"
        options={[...tools].map((name) => [name, name] as const)}
        values={draft.tools}
        onChange={(values) => set({ tools: values })}
      />
      {bases.length > 0 && (
        <CheckList
          label="Knowledge bases"
          path="input.knowledgeBaseIds"
          options={bases}
          values={draft.knowledgeBaseIds}
          onChange={(values) => set({ knowledgeBaseIds: values })}
        />
      )}
      {draft.knowledgeBaseIds.length > 0 && !draft.tools.includes(searchTool) && (
        <div className="note" role="status">
          <p>
            The agent does not search these bases yet: it does that with the tool <code>{searchTool}</code>, which is
            not ticked.
          </p>
          <button type="button" className="button" onClick={() => set({ tools: [...draft.tools, searchTool] })}>
            Tick {searchTool}
          </button>
        </div>
      )}
      {(['llm', 'tts', 'stt'] as const).map((kind) => (
        <ProviderForm
          key={kind}
          kind={kind}
          title={{ llm: 'Model', tts: 'Voice', stt: 'Transcription' }[kind]}
          draft={providers[kind]}
          keyHint={agent?.[kind]?.apiKeyHint ?? null}
          isKeyDropped={agent?.[kind]?.keyDropped ?? false}
          onChange={(changed) => setProviders({ ...providers, [kind]: changed })}
        />
      ))}
      <TextField
        label="JSON Schema of its answers, if they are data"
        path="input.outputSchema"
        rows={3}
        isCode
        value={draft.outputSchema}
        onChange={(outputSchema) => set({ outputSchema })}
      />
      <CheckField label="Active" value={draft.isActive} onChange={(isActive) => set({ isActive })} />
      {!agent && (
        <CheckField
          label="For everybody in the tenant, and for scenarios"
          value={draft.isShared}
          onChange={(isShared) => set({ isShared })}
        />
      )}
    </Form>
  );
}

function draftAgent(agent: AgentDetailsFragment | null) {
  return {
    name: agent?.name ?? '',
    description: agent?.description ?? '',
    instructions: agent?.instructions ?? '',
    tools: [...(agent?.toolNames ?? [])],
    knowledgeBaseIds: agent?.knowledgeBases.map(({ id }) => id) ?? [],
    outputSchema: showJson(agent?.outputSchema),
    isActive: agent?.isActive ?? true,
    isShared: agent?.isShared ?? true,
  };
}
