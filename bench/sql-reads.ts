import { createServer } from 'node:http';
import { Pool } from 'pg';
import { z } from 'zod';
import { listenOnLoopback } from './listen.ts';

// The baseline `sql`: the two reads as one statement each, written by hand and prepared, over node:http. The database
// writes the JSON. No GraphQL, nobody is asked who they are, nothing is limited.

const pool = new Pool({ connectionString: z.url().parse(process.env.DATABASE_URL), max: 10 });

const list = {
  name: 'list',
  text: `SELECT json_build_object(
    'total', (SELECT conversation_count FROM users WHERE tenant_id = $1 AND id = $2),
    'conversations', (SELECT json_agg(item) FROM (
      SELECT c.id, c.title, c.updated_at, c.message_count, left(last.content, 100) AS preview
      FROM (
        SELECT * FROM conversations WHERE tenant_id = $1 AND user_id = $2
        ORDER BY updated_at DESC, id DESC LIMIT 50
      ) c
      LEFT JOIN LATERAL (
        SELECT content FROM messages WHERE conversation_id = c.id AND position IS NOT NULL
        ORDER BY position DESC LIMIT 1
      ) last ON true
      ORDER BY c.updated_at DESC, c.id DESC
    ) item))::text AS json`,
};

const page = {
  name: 'page',
  text: `SELECT json_build_object('id', c.id, 'title', c.title, 'messages', (SELECT json_agg(item) FROM (
      SELECT id, role, status, content, created_at FROM messages
      WHERE conversation_id = c.id AND position IS NOT NULL ORDER BY position DESC LIMIT 100
    ) item))::text AS json
    FROM conversations c WHERE c.tenant_id = $1 AND c.user_id = $2 AND c.id = $3`,
};

const row = z.object({ json: z.string() });

listenOnLoopback(
  createServer(async (request, response) => {
    const id = request.url?.slice(1) ?? '';
    const of = ['bench', 'reader'];
    const { rows } = await pool.query(id === '' ? { ...list, values: of } : { ...page, values: [...of, id] });
    const { json } = row.parse(rows[0]);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
    response.end(json);
  }),
);
