import { z } from 'zod';
import { formatId } from '../../src/api/ids.ts';
import { conversations, fillHistory, longConversationId, messages, reader } from '../fill-history.ts';
import type { Harness, Report } from '../harness.ts';
import { listening } from '../listen.ts';
import { probe } from '../probe-arguments.ts';
import { PostgresCpu } from '../proc.ts';
import { type readAsk, readCount } from '../read-client.ts';
import { Child } from '../rpc.ts';
import { median } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';
import { readCpu, takeStatements } from '../systems.ts';

const connections = 10;

type Request = Pick<z.infer<typeof readAsk>, 'url' | 'headers' | 'body'>;
interface Reader {
  readonly name: string;
  readonly child: Child;
  readonly database: PostgresCpu | null;
  readonly requests: Readonly<Record<Read, Request>>;
}

const reads = {
  list: {
    title: 'first 50 conversations with count, preview, total',
    wanted: '≥ 850, ≤ 1.0, ≤ 0.7',
    document: `query List { conversations(first: 50) {
      totalCount
      edges { node { id title updatedAt messageCount lastMessage { preview } } }
    } }`,
    answer: z.object({
      data: z.object({
        conversations: z.object({
          totalCount: z.literal(conversations),
          edges: z
            .array(z.object({ node: z.object({ lastMessage: z.object({ preview: z.string().min(90) }) }) }))
            .length(50),
        }),
      }),
    }),
  },
  page: {
    title: 'one conversation with its last 100 messages',
    wanted: '≥ 1,300, ≤ 0.7, ≤ 0.5',
    document: `query Page($id: ID!) { conversation(id: $id) {
      id title messages(last: 100) { edges { node { id role status content createdAt } } }
    } }`,
    answer: z.object({
      data: z.object({
        conversation: z.object({
          messages: z.object({
            edges: z.array(z.object({ node: z.object({ content: z.string().min(300) }) })).length(100),
          }),
        }),
      }),
    }),
  },
} as const;
type Read = keyof typeof reads;

/** The two reads that every front end begins with, as fast as they come on 10 connections. */
export async function measureReads(harness: Harness): Promise<Report> {
  const [ms, rounds] = harness.quick ? [1_500, 2] : [4_000, 3];
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using stack = new AsyncDisposableStack();
    const switchboard = stack.use(await startSwitchboard(kind, harness, { probe, fill: fillHistory }));
    const { databaseUrl, child, address, tokenOf } = switchboard;
    const database = databaseUrl === null ? null : new PostgresCpu(new URL(databaseUrl).pathname.slice(1));
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${await tokenOf(reader)}` };
    const variables = { id: formatId('Conversation', longConversationId) };
    const ask = (read: Read): Request => ({
      url: new URL('/graphql', address).href,
      headers,
      body: JSON.stringify({ query: reads[read].document, variables }),
    });
    const readers: Reader[] = [
      { name: switchboard.name, child, database, requests: { list: ask('list'), page: ask('page') } },
    ];
    if (databaseUrl !== null) readers.unshift(await startByHand(databaseUrl, stack));
    for (const read of ['list', 'page'] as const) rows.push(...(await measureRead(harness, readers, read, ms, rounds)));
  }
  return {
    title: `reads: of ${conversations.toLocaleString('en')} conversations with ${messages.toLocaleString('en')} messages, ${connections} connections`,
    columns: ['', 'req/s', 'server CPU ms', 'PostgreSQL CPU ms', 'statements', 'wanted'],
    rows,
    notes: [
      `Medians of ${rounds} interleaved rounds of ${ms} ms, after a warm-up. The CPU is for one request; that of the embedded database is in the server’s.`,
      'sql: one statement by hand for each read, over node:http, without tokens, limits or a choice of fields. It and switchboard read the same database.',
    ],
  };
}

async function startByHand(databaseUrl: string, stack: AsyncDisposableStack): Promise<Reader> {
  const child = stack.use(
    new Child('sql', new URL('../sql-reads.ts', import.meta.url), {
      env: { DATABASE_URL: databaseUrl },
      execArgv: probe,
    }),
  );
  const url = await child.waitForOutput(listening);
  const get = (path: string): Request => ({ url: `${url}/${path}`, headers: {}, body: null });
  return {
    name: 'sql',
    child,
    database: new PostgresCpu(new URL(databaseUrl).pathname.slice(1)),
    requests: { list: get(''), page: get(longConversationId) },
  };
}

async function measureRead(
  harness: Harness,
  readers: readonly Reader[],
  read: Read,
  ms: number,
  rounds: number,
): Promise<string[][]> {
  const measured = new Map<Reader, { rate: number; server: number; database: number }[]>(
    readers.map((one) => [one, []]),
  );
  const statements = new Map<Reader, number>();
  const run = (one: Reader, duration: number) =>
    harness.load.call('read', { ...one.requests[read], connections, ms: duration }, readCount);
  for (const one of readers) {
    const { answer } = await run(one, ms);
    if (one.name !== 'sql') reads[read].answer.parse(JSON.parse(answer));
  }
  for (let count = 0; count < rounds; count++) {
    for (const [one, list] of measured) {
      const before = await readCpu(one);
      const databaseBefore = one.database?.read() ?? 0;
      const { requests, ms: taken } = await run(one, ms);
      const after = await readCpu(one);
      list.push({
        rate: (requests / taken) * 1e3,
        server: ((after.process - before.process) / requests) * 1e3,
        database: (((one.database?.read() ?? 0) - databaseBefore) / requests) * 1e3,
      });
    }
  }
  for (const one of readers) {
    await takeStatements(one);
    const { requests } = await harness.load.call('read', { ...one.requests[read], connections: 1, ms: 200 }, readCount);
    // One more request comes before the count.
    statements.set(one, Math.round((await takeStatements(one)).length / (requests + 1)));
  }
  return [...measured].map(([one, list]) => [
    `${reads[read].title}: ${one.name}`,
    median(list.map(({ rate }) => rate)).toFixed(0),
    median(list.map(({ server }) => server)).toFixed(2),
    one.database === null ? '' : median(list.map(({ database }) => database)).toFixed(2),
    String(statements.get(one)),
    one.name === 'sql' ? '' : reads[read].wanted,
  ]);
}
