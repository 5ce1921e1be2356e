import { useRef, useState } from 'react';
import { AddDocumentDocument } from '../generated/graphql.ts';
import { Field, Form, TextField } from '../parts/form.tsx';
import { useChange } from '../parts/use-change.ts';

/** Adds a document: a file or the text at an address. Its row says how far it is. */
export function Upload({ base }: { readonly base: string }) {
  const { run, isRunning, refusal, setRefusal } = useChange(AddDocumentDocument, ['KnowledgeDocument']);
  const [title, setTitle] = useState('');
  const [url, setUrl] = useState('');
  const [done, setDone] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const save = async () => {
    setDone('');
    const file = input.current?.files?.[0];
    if (!file && url === '') {
      setRefusal({ message: 'Choose a file, or give an address.', field: 'input.file' });
      return;
    }
    const source = file ? { file } : { url };
    const name = title || file?.name || url;
    // urql sends a request with a file in its variables as multipart/form-data.
    if (!(await run({ input: { knowledgeBaseId: base, title: name, ...source } }))) return;
    setTitle('');
    setUrl('');
    if (input.current) input.current.value = '';
    setDone(`${name} is here, and is indexed now.`);
  };
  return (
    <Form refusal={refusal} isRunning={isRunning} save={isRunning ? 'Sending…' : 'Add'} onSave={save}>
      <div className="pair">
        <Field label="File" path="input.file" hint="Text, Markdown, HTML, PDF or DOCX, up to 20 MB">
          {(ids) => <input {...ids} ref={input} type="file" accept=".txt,.md,.html,.pdf,.docx" />}
        </Field>
        <TextField
          label="Or an address"
          path="input.url"
          type="url"
          placeholder="https://"
          value={url}
          onChange={setUrl}
        />
      </div>
      <TextField
        label="Title"
        path="input.title"
        hint="Citations show it. Without one, the name of the file or the address is taken"
        value={title}
        onChange={setTitle}
      />
      <p role="status" className="hint">
        {done}
      </p>
    </Form>
  );
}
