import { expect, vi } from 'vitest';
import { readAnswer, type TestApp, type TokenClaims } from '../support/app.ts';

const fields = 'id title mediaType url size metadata status progress error chunkCount';

export const addDocumentText = `mutation Add($input: AddKnowledgeDocumentInput!) { addKnowledgeDocument(input: $input) { ${fields} } }`;
export const readDocumentText = `query Read($id: ID!) { knowledgeDocument(id: $id) { ${fields} knowledgeBase { id } } }`;

/** Somebody who works with a base. */
export interface Librarian {
  readonly token: string;
  readonly baseId: string;
  // biome-ignore lint/suspicious/noExplicitAny: the documents of these tests are not generated; their answers are asserted.
  ask(document: string, variables?: Record<string, unknown>): Promise<any>;
  /** The codes of the errors. */
  fail(document: string, variables?: Record<string, unknown>): Promise<readonly { code: string; message: string }[]>;
  /** Adds a document, and returns it as it was added. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  add(input: Record<string, unknown>): Promise<any>;
  /** Uploads a document. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  upload(file: Buffer, input?: Record<string, unknown>): Promise<any>;
  /** The document when it is READY or FAILED. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  settle(id: string): Promise<any>;
  /** The texts of its chunks that are searched, in order. */
  texts(id: string): Promise<{ text: string; headings: string[] }[]>;
}

/** Opens a base of its own for an admin. */
export async function openBase(app: TestApp, claims: TokenClaims = {}): Promise<Librarian> {
  const token = await app.token({ sub: 'admin', roles: ['admin'], ...claims });
  const ask = async (document: string, variables: Record<string, unknown> = {}) => {
    const answer = await app.query(document, variables, { token });
    expect(answer.errors).toEqual([]);
    return answer.data;
  };
  const fail = async (document: string, variables: Record<string, unknown> = {}) => {
    const { errors } = await app.query(document, variables, { token });
    return errors.map(({ message, extensions }) => ({ code: extensions.code, message }));
  };
  const created = await ask('mutation { createKnowledgeBase(input: { name: "Handbook" }) { id } }');
  const baseId: string = created.createKnowledgeBase.id;
  const toInput = (input: Record<string, unknown>) => ({ knowledgeBaseId: baseId, title: 'A document', ...input });
  return {
    token,
    baseId,
    ask,
    fail,
    add: async (input) => (await ask(addDocumentText, { input: toInput(input) })).addKnowledgeDocument,
    async upload(file, input = {}) {
      const form = new FormData();
      const variables = { input: toInput({ ...input, file: null }) };
      form.append('operations', JSON.stringify({ query: addDocumentText, variables }));
      form.append('map', JSON.stringify({ 0: ['variables.input.file'] }));
      form.append('0', new Blob([new Uint8Array(file)]), 'file');
      const headers = { authorization: `Bearer ${token}`, 'graphql-require-preflight': '1' };
      const answer = await readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form }));
      expect(answer.errors).toEqual([]);
      return answer.data.addKnowledgeDocument;
    },
    settle: (id) =>
      vi.waitFor(
        async () => {
          const { knowledgeDocument } = await ask(readDocumentText, { id });
          expect(knowledgeDocument.status).toMatch(/READY|FAILED/);
          return knowledgeDocument;
        },
        { timeout: 200_000, interval: 100 },
      ),
    texts: (id) =>
      app.app.db.$queryRaw`
        SELECT c.text, c.headings FROM knowledge_chunks AS c JOIN knowledge_documents AS d
          ON d.tenant_id = c.tenant_id AND d.id = c.document_id AND d.generation = c.generation
        WHERE d.id = ${id.slice('doc_'.length)}::uuid ORDER BY c.position`,
  };
}
