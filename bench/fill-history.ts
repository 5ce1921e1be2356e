import { Client } from 'pg';

/** The user whose history it is, of the tenant `bench`. */
export const reader = 'reader';
export const conversations = 10_000;
/** Conversations with 200 messages; the others have 20. */
const long = 100;
const [longLength, shortLength] = [200, 20];
export const messages = long * longLength + (conversations - long) * shortLength;
/** The conversation with the latest activity of all; it is a long one. */
export const longConversationId = '00000000-0000-4000-8000-000000000001';

/** Fills a migrated database with the history of one user, by SQL: 60 words in each message. */
export async function fillHistory(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    // The rows are not news: without the triggers of the feed, filling takes seconds and not minutes.
    await client.query(`
      ALTER TABLE conversations DISABLE TRIGGER USER;
      ALTER TABLE messages DISABLE TRIGGER USER;
      INSERT INTO tenants (id) VALUES ('bench');
      INSERT INTO users (tenant_id, id, conversation_count) VALUES ('bench', '${reader}', ${conversations});
      INSERT INTO conversations (id, tenant_id, user_id, title, auto_title, message_count, created_at, updated_at)
      SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'bench', '${reader}', 'Conversation ' || n,
        false, CASE WHEN n <= ${long} THEN ${longLength} ELSE ${shortLength} END,
        now() - n * interval '1 minute', now() - n * interval '1 minute'
      FROM generate_series(1, ${conversations}) n;
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
      SELECT gen_random_uuid(), tenant_id, id, n,
        (CASE WHEN n % 2 = 1 THEN 'USER' ELSE 'ASSISTANT' END)::"MessageRole",
        n || (SELECT string_agg(' word' || (w * 7919 + n) % 1000, '') FROM generate_series(1, 60) w)
      FROM conversations, generate_series(1, message_count) n;
      ALTER TABLE conversations ENABLE TRIGGER USER;
      ALTER TABLE messages ENABLE TRIGGER USER;`);
    // The planner and the visibility map know what is there, as on a server that has been running for a while.
    await client.query('VACUUM (ANALYZE) conversations');
    await client.query('VACUUM (ANALYZE) messages');
    await client.query('CHECKPOINT').catch(() => {});
  } finally {
    await client.end();
  }
}
