import { setTimeout as sleep } from 'node:timers/promises';
import { type Harness, measureRound, type Report, startSystems } from '../harness.ts';
import { type System, takeStatements } from '../systems.ts';

const short = { tokens: 20, perSecond: 200 };
const long = { tokens: 2_000, perSecond: 200 };
/** Longer than the slowest of the clocks of a process. */
const backgroundMs = 6_000;
/**
 * The searches for runs whose process died, and for own runs that nobody carries out: they name the runs that are alive, so
 * that their text is another with each.
 */
const search = /"lease_expires_at" < \$|^SELECT.* WHERE .*"lease_owner" = \$/s;
/** The check of the connection that listens for changes. */
const connectionCheck = 'SELECT 1';
const checkpoint = /^\s*WITH (texts AS \(\s*UPDATE messages|renewed AS \(\s*UPDATE \w+|wanted AS \(\s*SELECT)/;

/** The SQL statements of a short turn and of a long one: as many. */
export async function measureStatements(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const rows: string[][] = [];
  for (const system of await startSystems(harness, harness.databases, stack)) {
    // The first turn of a tenant and of a user also makes their rows.
    await measureRound(harness, system, 1, short);
    await takeStatements(system);
    await sleep(backgroundMs);
    const background = new Set(await takeStatements(system));
    const few = await countTurn(harness, system, short, background);
    const many = await countTurn(harness, system, long, background);
    if (few.own.length === 0) throw new Error(`${system.name}: no statement of a turn was seen.`);
    if (few.own.length !== many.own.length) {
      const listed = (list: readonly string[]) => list.map((sql) => `\n  ${sql.replace(/\s+/g, ' ')}`).join('');
      throw new Error(`${system.name}: not as many.\nshort:${listed(few.own)}\nlong:${listed(many.own)}`);
    }
    rows.push([`${system.name}, ${short.tokens} tokens`, String(few.own.length), String(few.checkpoints)]);
    rows.push([`${system.name}, ${long.tokens} tokens`, String(many.own.length), String(many.checkpoints)]);
  }
  return {
    title: 'statements: SQL of one turn, whatever its length',
    columns: ['', 'of the turn', 'checkpoints'],
    rows,
    notes: [
      'All that the process sent to the database from before the turn until after it, BEGIN and COMMIT included.',
      'Not of the turn: checkpoints and the rows of messages that are still being written, which are one statement each for all runs of the process twice a second, and the search for dead runs, which an idle process sends as well.',
    ],
  };
}

async function countTurn(harness: Harness, system: System, asked: typeof short, background: ReadonlySet<string>) {
  const slots = await system.prepareSlots(1);
  await takeStatements(system);
  await measureRound(harness, { ...system, prepareSlots: async () => slots }, 1, asked);
  const sent = await takeStatements(system);
  const checkpoints = sent.filter((sql) => checkpoint.test(sql)).length;
  const own = sent.filter(
    (sql) => !checkpoint.test(sql) && !search.test(sql) && sql !== connectionCheck && !background.has(sql),
  );
  return { own, checkpoints };
}
