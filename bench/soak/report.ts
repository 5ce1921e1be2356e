import { percentile, writeTable } from '../statistics.ts';
import { type AttackCounts, findUnrefused } from './expectations.ts';
import { actions, type Experience } from './honest.ts';
import type { Peaks } from './watch.ts';

/** What was seen in one phase of the soak. */
export interface Phase {
  readonly experience: Experience;
  readonly peaks: Peaks;
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
  const rows = actions.map((action) => {
    const times = [quiet, attacked].map((phase) => phase?.experience.times.get(action) ?? []);
    const cells = times.flatMap((list) => [
      String(list.length),
      ...[0.5, 0.99].map((part) => (list.length === 0 ? '' : percentile(list, part).toFixed(0))),
    ]);
    const [before, after] = times.map((list) => (list.length === 0 ? null : percentile(list, 0.99)));
    if (attacked && after == null) slow.push(`${action}: nothing worked under attack.`);
    if (before != null && after != null && after - before >= bounds.maxDelayMs) {
      const delay = (after - before).toFixed(0);
      slow.push(`${action}: p99 is ${delay} ms above the quiet run, not less than ${bounds.maxDelayMs}.`);
    }
    return [action, ...cells];
  });
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
    for (const failure of [...new Set([...errors, ...late])].slice(0, 5)) console.log(`  ${failure}`);
    if (errors.length > 0) broken.push(`${name}: ${errors.length} actions of honest users failed.`);
    if (late.length > 0) slow.push(`${name}: ${late.length} actions of honest users came too late.`);
    if (peaks.rss > bounds.maxRss) broken.push(`${name}: RSS is more than ${megabytes(bounds.maxRss)} MB.`);
    if (peaks.files > bounds.maxFiles) broken.push(`${name}: more than ${bounds.maxFiles} files were open.`);
  }
  console.log('\nattacks:');
  for (const [name, entries] of Object.entries(counts ?? {})) console.log(`  ${name}: ${JSON.stringify(entries)}`);
  if (counts === null && attacks.length > 0) broken.push('The attackers did not say what came of their attacks.');
  if (counts !== null) broken.push(...findUnrefused(attacks, counts, bounds.isShort));
  if (bounds.isShort && slow.length > 0) console.log(`\nslow, which decides nothing here:\n  ${slow.join('\n  ')}`);
  const all = bounds.isShort ? broken : [...broken, ...slow];
  console.log(all.length === 0 ? '\nAll bounds hold.' : `\nBROKEN:\n  ${all.join('\n  ')}`);
  return all.length;
}

/** Bytes as whole megabytes. */
export function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
