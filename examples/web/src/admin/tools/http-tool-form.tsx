import { useState } from 'react';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  CreateHttpToolDocument,
  type HttpMethod,
  type HttpToolDetailsFragment,
  HttpToolDetailsFragmentDoc,
  UpdateHttpToolDocument,
} from '../generated/graphql.ts';
import { CheckField, Form, SelectField, TextField } from '../parts/form.tsx';
import { readJson, showJson } from '../parts/json.ts';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { draftEndpoint, readEndpoint } from './endpoint-draft.ts';
import { EndpointForm } from './endpoint-form.tsx';

const methods = (['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] satisfies HttpMethod[]).map((name) => [name, name] as const);
const noArguments = { type: 'object', properties: {}, additionalProperties: false };

/** A request that is a tool. */
export function HttpToolForm({ tool }: { readonly tool: HttpToolDetailsFragment | null }) {
  const [endpoint, setEndpoint] = useState(() => draftEndpoint(tool));
  const [draft, setDraft] = useState(() => ({
    description: tool?.description ?? '',
    method: tool?.method ?? 'GET',
    parameters: showJson(tool?.parameters ?? noArguments),
    isIdempotent: tool?.isIdempotent ?? true,
  }));
  const create = useChange(CreateHttpToolDocument, ['HttpTool', 'Tool']);
  const update = useChange(UpdateHttpToolDocument, ['HttpTool', 'Tool']);
  const { refusal, isRunning, isDone } = tool ? update : create;
  const set = (change: Partial<typeof draft>) => setDraft({ ...draft, ...change });

  const save = async () => {
    const input = { ...readEndpoint(endpoint), ...draft, parameters: readJson(draft.parameters) };
    if (!tool) {
      const data = await create.run({ input });
      if (data) openAdmin('tools', 'edit', data.createHttpTool.id);
      return;
    }
    const data = await update.run({ id: tool.id, input });
    if (data) setEndpoint(draftEndpoint(readFragment(HttpToolDetailsFragmentDoc, data.updateHttpTool)));
  };
  return (
    <Form save={tool ? 'Save' : 'Create'} refusal={refusal} isRunning={isRunning} isDone={isDone} onSave={save}>
      <TextField
        label="Name"
        path="input.name"
        value={endpoint.name}
        onChange={(name) => setEndpoint({ ...endpoint, name })}
      />
      <TextField
        label="Description"
        path="input.description"
        hint="The model decides by it when to call the tool."
        value={draft.description}
        onChange={(description) => set({ description })}
      />
      <SelectField
        label="Method"
        path="input.method"
        value={draft.method}
        options={methods}
        onChange={(method) => set({ method, isIdempotent: method === 'GET' })}
      />
      <TextField
        label="Address"
        path="input.url"
        isCode
        placeholder="https://api.example.com/orders/{orderNumber}"
        value={endpoint.url}
        onChange={(url) => setEndpoint({ ...endpoint, url })}
      />
      <TextField
        label="JSON Schema of its arguments"
        path="input.parameters"
        rows={8}
        isCode
        value={draft.parameters}
        onChange={(parameters) => set({ parameters })}
      />
      <EndpointForm
        draft={endpoint}
        secretHeaders={tool?.secretHeaders ?? []}
        dropped={tool?.droppedSecretHeaders ?? []}
        onChange={setEndpoint}
      />
      <CheckField
        label="A call may be repeated after a crash"
        value={draft.isIdempotent}
        onChange={(isIdempotent) => set({ isIdempotent })}
      />
    </Form>
  );
}
