import { percentile, writeTable } from '../statistics.ts';
import { type AttackCounts, findUnrefused } from './expectations.ts';
import { actions, type Experience, groups } from './honest.ts';
import type { LoopLoad } from './loop-load.ts';
import type { Peaks } from './watch.ts';

/** What was seen in one phase of the soak. */
export interface Phase {
  readonly experience: Experience;
  readonly peaks: Peaks;
  /** Null: the server did not say. */
  readonly loop: LoopLoad | null;
  /** Cores that processes were busy on, by name of the process, such as 0.8. */
  readonly cores: Readonly<Record<string, number>>;
}

/** The bounds of a soak. */
export interface SoakBounds {
  /** What the p99 of honest users may rise by under attack, in milliseconds. */
  readonly maxDelayMs: number;
  readonly maxFiles: number;
  /** Bytes. */
  readonly maxRss: number;
  /** The short form: it runs on machines that do other work, so times are printed and decide nothing. */
  readonly isShort: boolean;
}

/** All that a soak has seen, as far as it came. Null: that part did not happen. */
export interface SoakResult {
  readonly quiet: Phase | null;
  readonly attacked: Phase | null;
  /** The attacks that were started. */
  readonly attacks: readonly string[];
  readonly counts: AttackCounts | null;
  /** What went wrong outside of the phases. */
  readonly faults: readonly string[];
}

/** Prints what was seen, and which bounds are broken. @returns how many are */
export function reportSoak({ quiet, attacked, attacks, counts, faults }: SoakResult, bounds: SoakBounds): number {
  const broken = [...faults];
  const slow: string[] = [];
  const rises: { readonly name: string; readonly ms: number }[] = [];
  const rows = groups.flatMap((group) =>
    actions.map((action) => {
      const name = `${group}: ${action}`;
      const times = [quiet, attacked].map((phase) => phase?.experience.times[group].get(action) ?? []);
      const [before, after] = times.map((list) => (list.length === 0 ? null : percentile(list, 0.99)));
      if (attacked && after == null) slow.push(`${name}: nothing worked under attack.`);
      if (before != null && after != null) rises.push({ name, ms: after - before });
      return [name, ...times.flatMap(listTimes)];
    }),
  );
  const columns = ['honest users', 'quiet', 'p50 ms', 'p99 ms', 'attacked', 'p50 ms', 'p99 ms'];
  console.log(`\n${writeTable(columns, rows)}\n`);
  for (const [name, phase] of Object.entries({ quiet, attacked })) {
    if (phase === null) {
      broken.push(`${name}: this part did not happen.`);
      continue;
    }
    const { experience, peaks } = phase;
    const { errors, late } = experience;
    console.log(
      `${name}: RSS ${megabytes(peaks.rss)} MB, ${peaks.files} open files; of honest users' actions ${errors.length} failed and ${late.length} came too late`,
    );
    console.log(`  ${writeLoad(phase)}`);
    for (const failure of [...new Set([...errors, ...late])].slice(0, 5)) console.log(`  ${failure}`);
    if (errors.length > 0) broken.push(`${name}: ${errors.length} actions of honest users failed.`);
    if (late.length > 0) slow.push(`${name}: ${late.length} actions of honest users came too late.`);
    if (peaks.rss > bounds.maxRss) broken.push(`${name}: RSS is more than ${megabytes(bounds.maxRss)} MB.`);
    if (peaks.files > bounds.maxFiles) broken.push(`${name}: more than ${bounds.maxFiles} files were open.`);
  }
  for (const { name, ms } of rises.filter((rise) => rise.ms >= bounds.maxDelayMs))
    slow.push(`${name}: p99 is ${ms.toFixed(0)} ms above the quiet run, not less than ${bounds.maxDelayMs}.`);
  console.log(`\n${writeVerdict(rises, rows.length, bounds)}`);
  console.log('\nattacks:');
  for (const [name, entries] of Object.entries(counts ?? {})) console.log(`  ${name}: ${JSON.stringify(entries)}`);
  if (counts === null && attacks.length > 0) broken.push('The attackers did not say what came of their attacks.');
  if (counts !== null) broken.push(...findUnrefused(attacks, counts));
  if (bounds.isShort && slow.length > 0) console.log(`\nslow, which decides nothing here:\n  ${slow.join('\n  ')}`);
  const all = bounds.isShort ? broken : [...broken, ...slow];
  console.log(all.length === 0 ? '\nAll bounds hold.' : `\nBROKEN:\n  ${all.join('\n  ')}`);
  return all.length;
}

/** Whether the honest users' p99 is where it has to be, and the action that is nearest to its bound. */
function writeVerdict(
  rises: readonly { readonly name: string; readonly ms: number }[],
  actionCount: number,
  { maxDelayMs, isShort }: SoakBounds,
): string {
  const bound = `p99 under ${maxDelayMs} ms above the quiet run`;
  const highest = rises.toSorted((one, other) => other.ms - one.ms)[0];
  if (highest === undefined) return `${bound}: nothing was measured.`;
  const holds = highest.ms < maxDelayMs && rises.length === actionCount;
  const measured = `${rises.length} of ${actionCount} actions were measured in both; the highest is +${highest.ms.toFixed(0)} ms (${highest.name})`;
  return `${bound}: ${holds ? 'yes' : 'NO'}; ${measured}${isShort ? '; times decide nothing in the short form' : ''}.`;
}

/** What each attack does alone, as one row each: which of them the honest users notice. */
export function reportEach(phases: ReadonlyMap<string, Phase>): void {
  const rows = [...phases].map(([name, { experience, peaks, loop, cores }]) => [
    name,
    ...actions.map((action) => {
      const [, p50 = '', p99 = ''] = listTimes(groups.flatMap((group) => experience.times[group].get(action) ?? []));
      return `${p50}/${p99}`;
    }),
    loop === null ? '' : `${loop.delayMs.p50.toFixed(0)}/${loop.delayMs.p99.toFixed(0)}`,
    (cores.server ?? 0).toFixed(2),
    (cores.attackers ?? 0).toFixed(2),
    megabytes(peaks.rss),
  ]);
  const columns = ['p50/p99 ms', ...actions, 'loop', 'server CPU', 'attackers CPU', 'RSS'];
  console.log(`\n${writeTable(columns, rows)}`);
}

/** How many, and their p50 and p99 in milliseconds. */
function listTimes(times: readonly number[]): readonly string[] {
  const parts = [0.5, 0.99].map((part) => (times.length === 0 ? '' : percentile(times, part).toFixed(0)));
  return [String(times.length), ...parts];
}

function writeLoad({ loop, cores }: Phase): string {
  const cpu = Object.entries(cores).map(([name, part]) => `${name} ${part.toFixed(2)}`);
  const text = `CPU in cores: ${cpu.join(', ')}`;
  if (loop === null) return text;
  const { p50, p99, max } = loop.delayMs;
  const delays = [p50, p99, max].map((delay) => delay.toFixed(0)).join(' / ');
  return `${text}; event loop: busy ${(loop.busy * 100).toFixed(0)} %, delay p50 / p99 / max ${delays} ms`;
}

/** Bytes as whole megabytes. */
export function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
