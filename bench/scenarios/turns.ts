import { type Harness, type MeasuredRound, measureRound, type Report, startSystems } from '../harness.ts';
import { median } from '../statistics.ts';
import type { System } from '../systems.ts';
import { timeFirstTokens } from './first-token.ts';

const paced = { tokens: 200, perSecond: 50 };
const firehose = { tokens: 200, perSecond: 0 };
/** A storm: as many turns as this start within a second. */
const storm = { ...paced, withinMs: 1_000 };
const most = 500;
const many = 100;

type Rounds = readonly MeasuredRound[];
/** What one system did in all rounds. */
interface Measured {
  readonly paced: MeasuredRound[];
  readonly storm: MeasuredRound[];
  readonly firehose: MeasuredRound[];
}

const middle = (rounds: Rounds, of: (round: MeasuredRound) => number) => median(rounds.map(of));
const perMillionTokens = (seconds: (round: MeasuredRound) => number) => (rounds: Rounds) =>
  middle(rounds, (round) => (seconds(round) / round.tokens) * 1e6).toFixed(1);
const perTurn = (seconds: (round: MeasuredRound) => number) => (rounds: Rounds) =>
  middle(rounds, (round) => (seconds(round) / round.turns) * 1e3).toFixed(1);

/** With the creation of its conversation: every turn has a new one. */
const server = (round: MeasuredRound) => round.cpuSeconds + round.preparation.cpuSeconds;
const database = (round: MeasuredRound) => round.databaseSeconds + round.preparation.databaseSeconds;

interface Row {
  readonly title: string;
  readonly wanted: string;
  readonly of: (measured: Measured) => string;
}

const rows: readonly Row[] = [
  row(
    `${many} turns at the same time, 50 tokens/s: CPU s per million tokens`,
    '≤ 68',
    'paced',
    perMillionTokens(server),
  ),
  row('— of PostgreSQL', '', 'paced', perMillionTokens(database)),
  row(`${most} turns at the same time, 50 tokens/s: CPU s per million tokens`, '', 'storm', perMillionTokens(server)),
  row('— of PostgreSQL', '', 'storm', perMillionTokens(database)),
  row(
    `firehose, ${many} turns at the same time: CPU s per million tokens`,
    '≤ 12',
    'firehose',
    perMillionTokens(server),
  ),
  row('— CPU ms per turn', '≤ 2.4', 'firehose', perTurn(server)),
  row(
    '— of which its conversation',
    '',
    'firehose',
    perTurn((round) => round.preparation.cpuSeconds),
  ),
  row('— of PostgreSQL, CPU ms per turn', '', 'firehose', perTurn(database)),
  row(`${most} turns that start within 1 s: first token p50 ms`, '≤ 150', 'storm', (rounds) =>
    middle(rounds, (round) => round.firstTokenMs).toFixed(0),
  ),
  row('— p95 ms', '≤ 600', 'storm', (rounds) => middle(rounds, (round) => round.firstToken95Ms).toFixed(0)),
  row(`memory (RSS) at ${most} turns: MB`, '≤ 350 (embedded ≤ 700)', 'storm', (rounds) =>
    middle(rounds, (round) => round.residentBytes / 2 ** 20).toFixed(0),
  ),
];

function row(title: string, wanted: string, kind: keyof Measured, write: (rounds: Rounds) => string): Row {
  return { title, wanted, of: (measured) => write(measured[kind]) };
}

/** What turns of 200 tokens cost, each in a new conversation, beside three systems that store nothing. */
export async function measureTurns(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const systems = await startSystems(harness, ['limit', 'agents-sdk', 'day-one', ...harness.databases], stack);
  for (const system of systems) await measureRound(harness, system, many, firehose);
  const measured = new Map<System, Measured>(systems.map((system) => [system, { paced: [], storm: [], firehose: [] }]));
  const rounds = harness.quick ? 1 : 3;
  for (let count = 0; count < rounds; count++) {
    for (const [system, { firehose: list }] of measured) {
      list.push(await measureRound(harness, system, many, firehose));
    }
    for (const [system, list] of measured) {
      list.paced.push(await measureRound(harness, system, many, paced));
      list.storm.push(await measureRound(harness, system, most, storm));
    }
  }
  const { turns, times } = await timeFirstTokens(harness, systems);
  const firstTokens = systems.map(({ name }) => median(times.get(name) ?? []).toFixed(1));
  const written = rows.map(({ title, wanted, of }) => [title, ...[...measured.values()].map(of), wanted]);
  return {
    title: 'turns: 200 tokens each, each in a new conversation',
    columns: ['', ...systems.map(({ name }) => name), 'wanted'],
    rows: [...written, ['first token, one turn after another: ms', ...firstTokens, '≤ 4.5']],
    notes: [
      `Medians of ${rounds} interleaved rounds after a warm-up, and of ${turns} single turns. Every token was checked, in order.`,
      'CPU is that of the server process, with the process of the embedded database if there is one; creating the conversations is in it.',
      'Of PostgreSQL: the processes of its server that work for this database, and those that work for all; only ours if nobody else uses the server.',
    ],
  };
}
