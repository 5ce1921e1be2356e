import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { form, report } from './form.ts';
import { nameChange } from './model/explore.ts';
import { type OpenWorld, openWorld } from './model/open-world.ts';

// All orders in which two processes, clients and accidents can make the moves of runs, over the real statements: the
// explorer takes the database back after each. In the full form (npm run durability), more goes wrong on one path.

const ask = { phase: 'ask', end: 'COMPLETED' } as const;
const answer = { phase: 'end', end: 'COMPLETED' } as const;
const fail = { phase: 'end', end: 'FAILED' } as const;
const more = form === 'full' ? 1 : 0;

/** What was reached, as `from → to: file`. */
const reached = new Set<string>();
let world: OpenWorld;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const accidents = { crashes: 2, stalls: 2, lostAnswers: 2, releases: 1, cancels: 1 };

/** Scenarios in which something goes wrong, and how much of it. */
const scenarios = {
  approval: {
    starts: [['A', 'one']],
    scripts: [ask],
    budget: { ...accidents, total: 1 + more, expiries: 1 },
  },
  queue: {
    starts: [
      ['A', 'one'],
      ['B', 'two'],
    ],
    scripts: [answer, fail],
    budget: { ...accidents, total: 1 + more },
  },
  'queue of three': {
    starts: [
      ['A', 'one'],
      ['A', 'two'],
      ['B', 'three'],
    ],
    scripts: [fail, answer],
    budget: { ...accidents, total: more },
  },
  'taken over too often': {
    starts: [['A', 'one']],
    scripts: [answer],
    budget: { total: 4, crashes: 4 },
  },
  'cancelled and killed': {
    starts: [['A', 'one']],
    scripts: [answer],
    budget: { total: 2, crashes: 1, cancels: 1 },
  },
  'same key': {
    starts: [
      ['A', 'one'],
      ['B', 'one'],
    ],
    scripts: [answer],
    budget: { ...accidents, total: more },
  },
} satisfies Record<string, Parameters<OpenWorld['explore']>[0]>;

test.each(Object.entries(scenarios))(
  'In no order of moves is a run lost, done twice, ended twice or stuck: %s',
  { timeout: form === 'full' ? 7_200_000 : 240_000 },
  async (name, scenario) => {
    const found = await world.explore(scenario);
    expect(found.fault).toBeNull();
    for (const change of found.changes) reached.add(change);
    report([`orders of moves: ${name}`, `${found.states} states`, `${found.moves} moves`]);
    expect(found.states).toBeGreaterThan(10);
  },
);

test('The table and the diagram of docs/turns.md hold exactly the changes of runs that the explorer reaches', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/turns.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (`[^|]+`) \| (`[^|]+`) \| (`[^|]+`) \|/gm)];
  const told = rows.flatMap(([, from = '', to = '', files = '']) =>
    namesIn(from).flatMap((source) =>
      namesIn(to).flatMap((target) => namesIn(files).map((file) => nameChange({ from: source, to: target, file }))),
    ),
  );
  expect([...reached].sort()).toEqual(told.sort());
  const arrows = [...text.matchAll(/^ {2}(\S+) --> (\w+)/gm)].map(([, from, to]) => `${from} → ${to}`);
  const pairs = new Set([...reached].map((change) => change.replace(/:.*/, '')));
  expect([...new Set(arrows)].sort()).toEqual([...pairs].sort());
});

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

/** Statements without one of their conditions, or that do less than they should: the explorer has to find each. */
const planted: readonly {
  readonly what: string;
  readonly scenario: keyof typeof scenarios;
  readonly from: RegExp;
  readonly to: string;
  readonly fault: RegExp;
}[] = [
  {
    what: 'The owner writes without asking for its owner and epoch',
    scenario: 'approval',
    from: /runs\.lease_owner = (\$\d+)\s+AND runs\.lease_epoch = (\$\d+) AND runs\.status = 'RUNNING'/,
    to: '$1::text IS NOT NULL AND $2::int IS NOT NULL',
    fault: /does not own|had ended/,
  },
  {
    what: 'A lease is renewed whoever has it',
    scenario: 'approval',
    from: /runs\.lease_owner = (\$\d+) AND runs\.lease_epoch = s\.epoch\s+AND runs\.status = 'RUNNING'/,
    to: '$1::text IS NOT NULL',
    fault: /row says otherwise|had ended/,
  },
  {
    what: 'A run is taken for lost although its lease was renewed since',
    scenario: 'approval',
    from: /lease_expires_at IS NOT DISTINCT FROM (\$\d+)::timestamptz/,
    to: '($1::timestamptz IS NOT NULL OR TRUE)',
    fault: /row says otherwise/,
  },
  {
    what: 'A run waits for a person although its end was asked for',
    scenario: 'approval',
    from: / AND "public"\."runs"\."cancel_requested_at" IS NULL/,
    to: '',
    fault: /end was asked for/,
  },
  {
    what: 'A run is cancelled as if it waited, and it runs',
    scenario: 'approval',
    from: /("Run_archive" ON true WHERE \("t0"\."id" = \$\d+ AND )("t0"\."status" = CAST\(\$\d+::text AS .*?\))\)/,
    to: '$1($2 OR TRUE))',
    fault: /row says otherwise|had ended/,
  },
  {
    what: 'The queue is taken from its end',
    scenario: 'queue of three',
    from: /ORDER BY number$/,
    to: 'ORDER BY number DESC',
    fault: /before those ahead/,
  },
  {
    what: 'A turn is started whatever is in its way',
    scenario: 'queue',
    from: /AND NOT EXISTS \(\s+SELECT 1 FROM runs WHERE conversation_id = (\$\d+)::uuid\s+AND \(idempotency_key = (\$\d+) OR .*?\)\)\)/s,
    to: 'AND $1::uuid IS NOT NULL AND $2::text IS NOT NULL',
    fault: /unique constraint|Two runs/,
  },
  {
    what: 'A call that was under way is stored as not carried out',
    scenario: 'approval',
    from: /CASE WHEN status = 'RUNNING' THEN 'UNKNOWN' ELSE/,
    to: "CASE WHEN status = 'RUNNING' THEN 'CANCELLED' ELSE",
    fault: /its call is CANCELLED/,
  },
  {
    what: 'Nobody begins a queue that was left behind',
    scenario: 'queue',
    from: /UPDATE runs SET status = 'RUNNING', started_at/,
    to: "UPDATE runs SET status = 'QUEUED', started_at",
    fault: /No way leads|has an owner/,
  },
];

test.each(planted)('The explorer finds a planted fault: $what', async ({ scenario, from, to, fault }) => {
  const found = await world.explore(scenarios[scenario], (sql) => sql.replace(from, to));
  expect(found.rewritten).toBeGreaterThan(0);
  expect(found.fault?.join('\n') ?? 'nothing').toMatch(fault);
});
