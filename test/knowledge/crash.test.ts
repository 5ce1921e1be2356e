import { expect, test, vi } from 'vitest';
import { createTestDataFolder } from '../support/database/database.ts';
import { type Server, startServer } from '../support/server.ts';
import { addDocumentText, readDocumentText } from './support.ts';

/** Processes start and end, and the job of one that is dead is found after a quarter of a minute. */
const room = { timeout: 240_000 };

test('kill -9 in the middle of indexing: the next start completes the document, once', room, async () => {
  await using data = await createTestDataFolder();
  const env = {};
  const ask = async (server: Server, document: string, variables = {}) => {
    const token = await server.token({ sub: 'admin', roles: ['admin'] });
    const answer = await server.query(document, variables, { token });
    expect(answer.errors).toEqual([]);
    return answer.data;
  };
  const sections = Array.from(
    { length: 400 },
    (_, n) => `# Cup ${n}\n\nCup ${n} is blue. ${'It is a good cup. '.repeat(40)}`,
  );
  let id = '';
  {
    await using server = await startServer(data.folder, env);
    const created = await ask(server, 'mutation { createKnowledgeBase(input: { name: "Cups" }) { id } }');
    const input = { knowledgeBaseId: created.createKnowledgeBase.id, title: 'Cups', text: sections.join('\n\n') };
    id = (await ask(server, addDocumentText, { input })).addKnowledgeDocument.id;
    await vi.waitFor(
      async () => {
        const { knowledgeDocument } = await ask(server, readDocumentText, { id });
        expect(knowledgeDocument.status).not.toBe('QUEUED');
      },
      { timeout: 200_000, interval: 20 },
    );
    await server.end('SIGKILL');
  }
  await using server = await startServer(data.folder, env);
  await vi.waitFor(
    async () => {
      const { knowledgeDocument } = await ask(server, readDocumentText, { id });
      expect(knowledgeDocument).toMatchObject({ status: 'READY', progress: 1, error: null, chunkCount: 400 });
    },
    { timeout: 200_000, interval: 200 },
  );
});
