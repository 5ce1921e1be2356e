import { useState } from 'react';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  CreateMcpServerDocument,
  type McpServerDetailsFragment,
  McpServerDetailsFragmentDoc,
  UpdateMcpServerDocument,
} from '../generated/graphql.ts';
import { Form, TextField } from '../parts/form.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { draftEndpoint, readEndpoint } from './endpoint-draft.ts';
import { EndpointForm } from './endpoint-form.tsx';

/** A server that has tools. */
export function McpServerForm({ server }: { readonly server: McpServerDetailsFragment | null }) {
  const [draft, setDraft] = useState(() => draftEndpoint(server));
  const create = useChange(CreateMcpServerDocument, ['McpServer', 'Tool']);
  const update = useChange(UpdateMcpServerDocument, ['McpServer', 'Tool']);
  const { refusal, isRunning, isDone } = server ? update : create;

  const save = async () => {
    const input = readEndpoint(draft);
    if (!server) {
      const data = await create.run({ input });
      if (data) openAdmin('tools', 'edit', data.createMcpServer.id);
      return;
    }
    const data = await update.run({ id: server.id, input });
    if (data) setDraft(draftEndpoint(readFragment(McpServerDetailsFragmentDoc, data.updateMcpServer)));
  };
  return (
    <Form save={server ? 'Save' : 'Create'} refusal={refusal} isRunning={isRunning} isDone={isDone} onSave={save}>
      <TextField
        label="Name"
        path="input.name"
        hint="The names of its tools begin with it."
        value={draft.name}
        onChange={(name) => setDraft({ ...draft, name })}
      />
      <TextField
        label="Address"
        path="input.url"
        isCode
        placeholder="https://crm.example.com/mcp"
        value={draft.url}
        onChange={(url) => setDraft({ ...draft, url })}
      />
      <EndpointForm
        draft={draft}
        secretHeaders={server?.secretHeaders ?? []}
        dropped={server?.droppedSecretHeaders ?? []}
        onChange={setDraft}
      />
    </Form>
  );
}
