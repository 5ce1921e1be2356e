import { useState } from 'react';
import { readFragment } from '../generated/fragment-masking.ts';
import { BaseRowFragmentDoc, CreateBaseDocument, KnowledgeBasesDocument } from '../generated/graphql.ts';
import type { PageProps } from '../pages.ts';
import { Form, TextField } from '../parts/form.tsx';
import { AdminLink } from '../parts/link.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { Base } from './base.tsx';
import { Search } from './search.tsx';

/** `/admin/knowledge`: the bases; with an id, one of them. */
export function KnowledgePage({ path: [id] }: PageProps) {
  return id === undefined ? <Bases /> : <Base id={id} />;
}

function Bases() {
  return (
    <Page title="Knowledge">
      <Table caption="Knowledge bases" columns={['Name', 'Description', 'Language', 'Searched by']}>
        <Rows
          query={KnowledgeBasesDocument}
          variables={{}}
          type="KnowledgeBase"
          read={({ knowledgeBases }) => knowledgeBases}
          empty="There is no base yet. Make one below, and add documents to it."
          row={(node) => {
            const base = readFragment(BaseRowFragmentDoc, node);
            return (
              <tr key={base.id}>
                <td dir="auto">
                  <AdminLink to={['knowledge', base.id]}>{base.name}</AdminLink>
                  {base.project && <span className="hint"> of {base.project.name}</span>}
                </td>
                <td dir="auto">{base.description}</td>
                <td>{base.language}</td>
                <td>{base.searchModes.includes('VECTOR') ? 'words and meaning' : 'words'}</td>
              </tr>
            );
          }}
        />
      </Table>
      <Section title="Search all bases">
        <Search bases={null} />
      </Section>
      <Section title="New base">
        <NewBase />
      </Section>
    </Page>
  );
}

function NewBase() {
  const { run, isRunning, refusal } = useChange(CreateBaseDocument, ['KnowledgeBase']);
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [language, setLanguage] = useState('english');
  const save = async () => {
    const data = await run({ input: { name, description: description || null, language } });
    if (data) openAdmin('knowledge', data.createKnowledgeBase.id);
  };
  return (
    <Form refusal={refusal} isRunning={isRunning} save="Create" onSave={save}>
      <div className="pair">
        <TextField label="Name" path="input.name" value={name} onChange={setName} />
        <TextField
          label="Language"
          path="input.language"
          hint="Of its texts, in English: german, french, … or simple for any"
          value={language}
          onChange={setLanguage}
        />
      </div>
      <TextField
        label="Description"
        path="input.description"
        hint="What can be found in it: agents read this to know when to search"
        value={description}
        onChange={setDescription}
      />
    </Form>
  );
}
