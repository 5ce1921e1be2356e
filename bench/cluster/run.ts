import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { writeTable } from '../statistics.ts';
import { type Cluster, endChildren, openCluster } from './cluster.ts';
import type { Outcome } from './outcome.ts';
import { measureChurn } from './scenarios/churn.ts';
import { measureCommands } from './scenarios/commands.ts';
import { measureCpu } from './scenarios/cpu.ts';
import { measureKills } from './scenarios/kills.ts';
import { measureManyTurns } from './scenarios/many-turns.ts';
import { measureRolling } from './scenarios/rolling.ts';
import { measureSlowReader } from './scenarios/slow-reader.ts';

// npm run bench:cluster -- [--short] [--only turns,kills]
// Instances as processes of their own, over a database on the PostgreSQL server of DATABASE_URL and a Redis that is started
// for it (redis-server has to be installed). Ends with 1 if something was lost, doubled, out of order or left over, and in
// the full form also if it was slower than is wanted. A signal ends what it has started, the database included.

const scenarios: Readonly<Record<string, (cluster: Cluster) => Promise<Outcome>>> = {
  turns: measureManyTurns,
  commands: measureCommands,
  kills: measureKills,
  rolling: measureRolling,
  unread: measureSlowReader,
  churn: measureChurn,
  cpu: measureCpu,
};
/** How many faults are printed of each scenario. */
const shownFaults = 10;

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const chosen = values.only?.split(',') ?? Object.keys(scenarios);
const unknown = chosen.filter((name) => !(name in scenarios));
const databaseUrl = process.env.DATABASE_URL;
if (unknown.length > 0 || !databaseUrl) {
  console.error(
    databaseUrl
      ? `There is no ${unknown.join(', ')}. There are: ${Object.keys(scenarios).join(', ')}.`
      : 'DATABASE_URL is not set: two instances need a PostgreSQL server.',
  );
  process.exit(2);
}

const interrupted = Promise.withResolvers<never>();
// Between two scenarios, nobody waits for it.
interrupted.promise.catch(() => {});
let signalled = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // Not once: npm passes on what the terminal has sent to both.
  process.on(signal, () => {
    signalled = true;
    // What the scenario still asks of its children fails, wherever it is.
    process.on('unhandledRejection', () => {});
    endChildren();
    interrupted.reject(new Error(`It was ended by ${signal}.`));
  });
}

/** In the short form, all scenarios share one: what one has left would be another's, which figures must not have. */
let shared: Cluster | null = null;
async function closeCluster(): Promise<void> {
  const cluster = shared;
  shared = null;
  await cluster?.[Symbol.asyncDispose]();
}

console.log(`Node ${process.version}, ${cpus().length} cores, ${process.platform}-${process.arch}`);
for (const [name, measure] of Object.entries(scenarios)) {
  if (!chosen.includes(name) || signalled) continue;
  const begun = performance.now();
  console.log(`\n${name} …`);
  try {
    shared ??= await openCluster(databaseUrl, values.short);
    const cluster = shared;
    const { title, columns, rows, notes, faults, slow } = await Promise.race([measure(cluster), interrupted.promise]);
    const took = `It took ${Math.round((performance.now() - begun) / 1000)} s.`;
    console.log(`\n${title}\n\n${writeTable(columns, rows)}\n\n${[...notes, took].join('\n')}`);
    for (const line of slow) console.log(values.short ? `Slow, which decides nothing here: ${line}` : `SLOW: ${line}`);
    for (const fault of faults.slice(0, shownFaults)) console.log(`FAULT: ${fault}`);
    if (faults.length > shownFaults) console.log(`… and ${faults.length - shownFaults} more`);
    if (faults.length > 0 || (slow.length > 0 && !values.short)) process.exitCode = 1;
    if (!values.short) await closeCluster();
  } catch (error) {
    console.error(`\n${name} FAILED:`, error);
    process.exitCode = 1;
    await closeCluster();
  }
}
await closeCluster();
console.log(process.exitCode ? '\nNot all of it holds.' : '\nAll of it holds.');
// What the scenario was about to do has no end.
if (signalled) process.exit(1);
