import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { listening } from '../listen.ts';
import { Child } from '../rpc.ts';
import { startSwitchboard } from '../switchboard.ts';
import { runHonestUsers } from './honest.ts';
import { loopLoad } from './loop-load.ts';
import { megabytes, type Phase, reportEach, reportSoak, type SoakBounds, type SoakResult } from './report.ts';
import { ProcessWatch, readCpuSeconds } from './watch.ts';

// npm run soak -- [--short] [--minutes 10] [--only 'large pages']... [--each] [--max-rss 1500]
//   [--profile folder] [--main path/to/src/main.ts]
// Honest users alone, then the same among all attackers at once. On the embedded database, or, with DATABASE_URL of a
// server on which databases may be created, there. With --each, each attack also runs alone, so that one sees what it adds.
// Ends with 1 if a bound is broken. In the short form, times decide nothing. Whatever happens, it ends, and reports as far
// as it came.

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    each: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    'max-rss': { type: 'string', default: '1500' },
    main: { type: 'string' },
    profile: { type: 'string' },
  },
});
const minutes = Number(values.minutes ?? (values.short ? 0.9 : 10));
/** The part of the minutes that is quiet. Readers that do not read are ended after 30 s, also in the short form. */
const quietPart = values.short ? 0.2 : 0.3;
/** How long each attack runs alone with --each, in milliseconds. */
const aloneMs = 8_000;
/**
 * For starting, stopping and the attackers' preparations, beside the minutes. On a busy machine the 500 messages of the long
 * form take minutes; the time is there to end what hangs.
 */
const spareMs = (values.short ? 150_000 : 900_000) + (values.each ? 150_000 : 0);
const bounds: SoakBounds = {
  maxDelayMs: 500,
  maxRss: Number(values['max-rss']) * 2 ** 20,
  // The attackers open up to 2,000 connections at the same time, most of which are refused.
  maxFiles: 2_500,
  isShort: values.short,
};
const honestUsers = 6;
/** The limits of turns and changes that are on by default; the other benchmarks switch them off. */
const usualLimits = {
  RATE_LIMIT_TURNS: '',
  RATE_LIMIT_MUTATIONS: '',
  RATE_LIMIT_ANSWER_BYTES: '',
  MAX_TURNS_PER_USER: '',
  MAX_TURNS_PER_TENANT: '',
};
const attackerCounts = z.record(z.string(), z.record(z.string(), z.number()));

const faults: string[] = [];
const result: { -readonly [Key in keyof SoakResult]: SoakResult[Key] } = {
  quiet: null,
  attacked: null,
  attacks: [],
  counts: null,
  faults,
};
const over = new AbortController();
const deadline = AbortSignal.timeout(minutes * 60_000 + spareMs);
deadline.addEventListener('abort', () => {
  faults.push(`It was not over after ${minutes} minutes and ${spareMs / 1_000} s.`);
  over.abort();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    faults.push(`It was ended by ${signal}.`);
    over.abort();
  });
}
const children: Child[] = [];
// The last resort: nothing that was started may stay.
process.on('exit', () => {
  for (const child of children) child.kill();
});

const stack = new AsyncDisposableStack();
const interrupted = new Promise<void>((resolve) => {
  if (over.signal.aborted) resolve();
  over.signal.addEventListener('abort', () => resolve(), { once: true });
});
try {
  await Promise.race([soak(), interrupted]);
} catch (error) {
  faults.push(error instanceof Error ? error.message.slice(0, 2_000) : String(error));
}
over.abort();
process.exitCode = reportSoak(result, bounds) === 0 ? 0 : 1;
// A server that the attacks have brought to a stop does not hear SIGTERM; only an orderly end writes a profile.
if (values.profile === undefined) for (const child of children) child.kill();
await Promise.race([stack.disposeAsync().catch(() => {}), sleep(10_000)]);
process.exit();

async function soak(): Promise<void> {
  const endpoint = stack.use(keep(new Child('endpoint', new URL('../endpoint.ts', import.meta.url))));
  const attackers = stack.use(keep(new Child('attackers', new URL('./attackers.ts', import.meta.url))));
  const providerUrl = await attackers.call('providerUrl', null, z.string());
  const databaseUrl = process.env.DATABASE_URL ?? null;
  const profileArguments = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`];
  const target = stack.use(
    await startSwitchboard(
      databaseUrl === null ? 'embedded' : 'postgresql',
      {
        endpointUrl: `${await endpoint.waitForOutput(listening)}/v1`,
        databaseUrl,
        settings: { MODEL_ALLOWED_HOSTS: new URL(providerUrl).host, ...usualLimits },
        profileArguments,
      },
      {
        probe: ['--import', new URL('./server-probe.ts', import.meta.url).href],
        ...(values.main === undefined ? {} : { main: pathToFileURL(values.main) }),
      },
    ),
  );
  keep(target.child);
  using watch = new ProcessWatch(target.child.pid, 2 * bounds.maxRss, (rss) => {
    faults.push(`The memory reached ${megabytes(rss)} MB, and the server was ended.`);
    target.child.kill();
  });

  const processes = { server: target.child.pid, attackers: attackers.pid, model: endpoint.pid, honest: process.pid };
  const readCpu = () => Object.entries(processes).map(([name, pid]) => [name, readCpuSeconds(pid)] as const);
  // The server may have no time to answer.
  const takeLoop = () => Promise.race([target.child.call('takeLoad', null, loopLoad), sleep(5_000, null)]);

  /** Honest users for so many milliseconds; ends early if the server does, or the time is over. */
  async function runPhase(milliseconds: number, note: (phase: Phase) => void): Promise<void> {
    watch.takePeaks();
    await takeLoop().catch(() => {});
    const ending = new AbortController();
    const start = performance.now();
    const before = new Map(readCpu());
    const seen = runHonestUsers(target, honestUsers, ending.signal);
    while (performance.now() < start + milliseconds && target.child.runs && !over.signal.aborted) await sleep(100);
    if (!target.child.runs) faults.push('The server has ended.');
    ending.abort();
    const seconds = (performance.now() - start) / 1_000;
    const cores = readCpu().map(([name, used]) => [name, (used - (before.get(name) ?? 0)) / seconds]);
    const peaks = watch.takePeaks();
    const loop = await takeLoop().catch(() => null);
    note({ experience: seen.experience, peaks, loop, cores: Object.fromEntries(cores) });
    // Those who wait for an answer leave.
    await Promise.race([seen.finished, sleep(2_000)]);
  }

  console.log(`Node ${process.version}, ${cpus().length} cores, ${target.name}, ${minutes} minutes`);
  const tokens = await Promise.all([0, 1, 2, 3].map((user) => target.tokenOf(`attacker-${user}`)));
  const { origin: url } = target.address;
  const attack = { url, tokens, providerUrl, messages: values.short ? 100 : 500 };
  const prepared = z.object({ largeConversation: z.string(), longRun: z.string() });
  const made = await attackers.call('prepare', attack, prepared);
  await runPhase(3_000, () => {});
  await runPhase(minutes * 60_000 * quietPart, (phase) => {
    result.quiet = phase;
    console.log(`quiet: RSS ${megabytes(phase.peaks.rss)} MB; the attack begins`);
  });
  const params = { ...attack, ...made, only: values.only };
  const names = z.array(z.string());
  if (values.each) {
    const phases = new Map<string, Phase>(result.quiet === null ? [] : [['quiet', result.quiet]]);
    for (const name of await attackers.call('list', params, names)) {
      await attackers.call('start', { ...params, only: [name] }, names);
      await runPhase(aloneMs, (phase) => void phases.set(name, phase));
      await attackers.call('stop', null, attackerCounts);
    }
    reportEach(phases);
  }
  result.attacks = await attackers.call('start', params, names);
  await runPhase(minutes * 60_000 * (1 - quietPart), (phase) => {
    result.attacked = phase;
  });
  result.counts = await attackers.call('stop', null, attackerCounts);
}

function keep(child: Child): Child {
  children.push(child);
  return child;
}
