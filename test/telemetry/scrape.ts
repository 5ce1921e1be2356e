/** One sample of the metrics. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What was read of /metrics at one moment. */
export interface Scrape {
  readonly text: string;
  readonly samples: readonly Sample[];
  /** The sum of the samples of a name whose labels hold these; 0: there is none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** Parses the text format of Prometheus. */
export function parseMetrics(text: string): Scrape {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line): Sample => {
      const [, name = '', written = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (name === '') throw new Error(`Not a sample: ${line}`);
      const labels = [...written.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [key, text]);
      return { name, labels: Object.fromEntries(labels), value: Number(value) };
    });
  return {
    text,
    samples,
    sum: (name, labels = {}) =>
      samples
        .filter((sample) => sample.name === name)
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((total, { value }) => total + value, 0),
  };
}

/** Reads the metrics of a port. @throws if they are not served */
export async function scrape(url: string, headers: Record<string, string> = {}): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`, { headers });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  return parseMetrics(text);
}
