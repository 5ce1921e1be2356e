import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { listening } from '../listen.ts';
import { Child } from '../rpc.ts';
import { percentile, writeTable } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';
import { actions, type Experience, runHonestUsers } from './honest.ts';
import { type Peaks, ProcessWatch } from './watch.ts';

// npm run soak -- [--short] [--minutes 10] [--only 'large pages']... [--max-rss 3000] [--main path/to/src/main.ts]
// Honest users alone, then the same among all attackers at once. On the embedded database, or, with DATABASE_URL of a
// server on which databases may be created, there. Ends with 1 if a bound is broken.

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    'max-rss': { type: 'string', default: '3000' },
    main: { type: 'string' },
  },
});
const minutes = Number(values.minutes ?? (values.short ? 1.25 : 10));
const maxRss = Number(values['max-rss']) * 2 ** 20;
const honestUsers = 6;
/** What the honest users' p99 may rise by under attack. The short form runs on machines that do other work. */
const maxDelayMs = values.short ? 5_000 : 500;
/** What may be open besides the sockets of honest users and the bounded ones of attackers. */
const maxFiles = 2_000;

const databaseUrl = process.env.DATABASE_URL ?? null;
await using stack = new AsyncDisposableStack();
const endpoint = stack.use(new Child('endpoint', new URL('../endpoint.ts', import.meta.url)));
const attackers = stack.use(new Child('attackers', new URL('./attackers.ts', import.meta.url)));
const providerUrl = await attackers.call('providerUrl', null, z.string());
const target = stack.use(
  await startSwitchboard(
    databaseUrl === null ? 'embedded' : 'postgresql',
    {
      endpointUrl: `${await endpoint.waitForOutput(listening)}/v1`,
      databaseUrl,
      settings: { MODEL_ALLOWED_HOSTS: new URL(providerUrl).host },
      profileArguments: [],
    },
    { probe: [], ...(values.main === undefined ? {} : { main: pathToFileURL(values.main) }) },
  ),
);
let broken: string | null = null;
using watch = new ProcessWatch(target.child.pid, maxRss, (rss) => {
  broken = `The memory reached ${megabytes(rss)} MB, and the server was ended.`;
  target.child.kill();
});

console.log(`Node ${process.version}, ${cpus().length} cores, ${target.name}, ${minutes} minutes`);
await runPhase(3_000);
const quiet = await runPhase(minutes * 60_000 * 0.3);
console.log(`quiet: RSS ${megabytes(quiet.peaks.rss)} MB; the attack begins`);
const tokens = await Promise.all([0, 1, 2, 3].map((user) => target.tokenOf(`attacker-${user}`)));
const attack = {
  url: target.address.origin,
  tokens,
  providerUrl,
  messages: values.short ? 200 : 500,
  only: values.only,
};
const names = await attackers.call('start', attack, z.array(z.string()));
const attacked = await runPhase(minutes * 60_000 * 0.7);
const counts = await Promise.race([
  attackers.call('stop', null, z.record(z.string(), z.record(z.string(), z.number()))),
  sleep<Record<string, Record<string, number>>>(15_000, {}),
]);

report();
// A server that the attacks have brought to a stop does not hear SIGTERM.
target.child.kill();
attackers.kill();

interface Phase {
  readonly experience: Experience;
  readonly peaks: Peaks;
}

/** Honest users for so many milliseconds; ends early if the server does. */
async function runPhase(milliseconds: number): Promise<Phase> {
  watch.takePeaks();
  const over = new AbortController();
  const users = runHonestUsers(target, honestUsers, over.signal);
  for (const end = performance.now() + milliseconds; performance.now() < end && target.child.runs; ) await sleep(200);
  if (!target.child.runs) broken ??= 'The server has ended.';
  over.abort();
  const experience = await users;
  return { experience, peaks: watch.takePeaks() };
}

function report(): void {
  const faults: string[] = broken === null ? [] : [broken];
  const rows = actions.map((action) => {
    const cells = [quiet, attacked].flatMap(({ experience }) => {
      const times = experience.times.get(action) ?? [];
      if (times.length === 0) return ['0', '', ''];
      return [String(times.length), percentile(times, 0.5).toFixed(0), percentile(times, 0.99).toFixed(0)];
    });
    const delay = Number(cells[5]) - Number(cells[2]);
    if (cells[5] === '') faults.push(`${action}: nothing worked under attack.`);
    else if (delay > maxDelayMs) faults.push(`${action}: p99 is ${delay} ms above the quiet run, not ${maxDelayMs}.`);
    return [action, ...cells];
  });
  const columns = ['honest users', 'quiet', 'p50 ms', 'p99 ms', 'attacked', 'p50 ms', 'p99 ms'];
  console.log(`\n${writeTable(columns, rows)}\n`);
  for (const [name, { peaks, experience }] of Object.entries({ quiet, attacked })) {
    const { failures } = experience;
    console.log(`${name}: RSS ${megabytes(peaks.rss)} MB, ${peaks.files} open files, ${failures.length} failures`);
    for (const failure of [...new Set(failures)].slice(0, 5)) console.log(`  ${failure}`);
    if (failures.length > 0) faults.push(`${name}: ${failures.length} actions of honest users failed.`);
  }
  console.log(`\nattacks: ${names.length}`);
  for (const [name, entries] of Object.entries(counts)) console.log(`  ${name}: ${JSON.stringify(entries)}`);
  const oddHosts = Object.keys(counts['odd Host headers'] ?? {}).filter((what) => /5xx|stack/.test(what));
  faults.push(...oddHosts.map((what) => `An odd Host header was ${what}.`));
  if (attacked.peaks.files > maxFiles) faults.push(`${attacked.peaks.files} files were open, not ${maxFiles}.`);
  console.log(faults.length === 0 ? '\nAll bounds hold.' : `\nBROKEN:\n  ${faults.join('\n  ')}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
