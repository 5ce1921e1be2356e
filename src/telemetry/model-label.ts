/** More than this many models are not told apart: each is a set of time series. */
const maxModels = 50;
const other = 'other';

const known = new Set<string>();

/** Names the models that metrics tell apart: those of the operator's configuration. Users can name any other. */
export function knowModels(names: Iterable<string>): void {
  for (const name of names) if (known.size < maxModels) known.add(name);
}

/** A model as the label of a metric. */
export function modelLabel(name: string): string {
  return known.has(name) ? name : other;
}
