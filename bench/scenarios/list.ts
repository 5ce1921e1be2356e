import { Client } from 'pg';
import { z } from 'zod';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { median, percentile } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';
import { takeStatements } from '../systems.ts';

const conversations = 10_000;
const messagesEach = 4;

const page = z.object({
  conversations: z.object({
    edges: z
      .array(
        z.object({
          node: z.object({
            title: z.string(),
            messageCount: z.literal(messagesEach),
            lastMessage: z.object({ content: z.literal(`message ${messagesEach}`) }),
          }),
        }),
      )
      .length(50),
  }),
});
const document = `{ conversations(first: 50) { edges { node { title messageCount lastMessage { content } } } } }`;

/** The first page of 10,000 conversations with counts and last messages: time and statements. */
export async function measureList(harness: Harness): Promise<Report> {
  const asks = harness.quick ? 20 : 200;
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using switchboard = await startSwitchboard(kind, harness, { probe, fill });
    const ask = () => switchboard.ask('reader', document, {}, page);
    for (let count = 0; count < 10; count++) await ask();
    const times: number[] = [];
    for (let count = 0; count < asks; count++) {
      const startedAt = performance.now();
      await ask();
      times.push(performance.now() - startedAt);
    }
    await takeStatements(switchboard);
    await ask();
    const statements = await takeStatements(switchboard);
    rows.push([
      switchboard.name,
      median(times).toFixed(1),
      percentile(times, 0.9).toFixed(1),
      String(statements.length),
    ]);
  }
  return {
    title: `list: conversations(first: 50) with counts and last messages, of ${conversations.toLocaleString('en')}`,
    columns: ['', 'median ms', 'p90 ms', 'statements'],
    rows,
    notes: [`${asks} queries over HTTP, one after another. Each conversation has ${messagesEach} messages.`],
  };
}

async function fill(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    // The rows are not news: without the triggers of the feed, filling takes seconds and not minutes.
    await client.query(`
      ALTER TABLE conversations DISABLE TRIGGER USER;
      ALTER TABLE messages DISABLE TRIGGER USER;
      INSERT INTO tenants (id) VALUES ('bench');
      INSERT INTO users (tenant_id, id, conversation_count) VALUES ('bench', 'reader', ${conversations});
      INSERT INTO conversations (id, tenant_id, user_id, title, auto_title, message_count, created_at, updated_at)
      SELECT gen_random_uuid(), 'bench', 'reader', 'Conversation ' || n, false, ${messagesEach},
        now() - n * interval '1 minute', now() - n * interval '1 minute'
      FROM generate_series(1, ${conversations}) n;
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
      SELECT gen_random_uuid(), tenant_id, id, n, 'USER', 'message ' || n
      FROM conversations, generate_series(1, ${messagesEach}) n;
      ALTER TABLE conversations ENABLE TRIGGER USER;
      ALTER TABLE messages ENABLE TRIGGER USER;
      ANALYZE;`);
  } finally {
    await client.end();
  }
}
