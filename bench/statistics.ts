/** @throws on an empty list: there is no median of nothing */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which so much (0 to 1) of the list lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort();
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  if (value === undefined) throw new Error('There are no values.');
  return value;
}

/** A table of Markdown, the first column aligned to the left and the others to the right. */
export function writeTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const pad = (cell: string, index: number) =>
    index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0);
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(' | ')} |`;
  const rule = widths.map((width, index) => (index === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`));
  return [line(columns), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}
