import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startApp } from '../src/boot/app.ts';
import { readEnv } from '../src/config/env.ts';
import { type Answered, average, measureSearch, ways } from '../test/knowledge/collection/measure.ts';
import { writeTable } from './statistics.ts';

// npm run bench:search [-- --missed]
// How well searches answer the judged questions of test/knowledge/collection: by words, by the vectors of the demo model, and by
// both. With OPENAI_API_KEY or OPENAI_BASE_URL, and EMBEDDING_MODEL, by the vectors of another model. Uses an embedded database.
// --missed lists the questions whose best passage is not the first.

const { values } = parseArgs({ options: { missed: { type: 'boolean', default: false } } });
await using opened = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'switchboard-search-'));
opened.defer(() => rm(folder, { recursive: true, force: true }));
const { DATABASE_URL: _, ...environment } = process.env;
const env = readEnv({ ...environment, DATA_DIR: folder, PORT: '0' });
const app = opened.use(await startApp(env, { logDestination: { write: () => {} } }));
const answers = await measureSearch(app.search, app.db);

const kinds = [...new Set(answers.map(({ kind }) => kind))];
const parts: readonly (readonly [name: string, has: (answer: Answered) => boolean])[] = [
  ['all', () => true],
  ['tuned with', ({ isHeldBack }) => !isHeldBack],
  ['held back', ({ isHeldBack }) => isHeldBack],
  ...kinds.map((kind) => [kind, (answer: Answered) => answer.kind === kind] as const),
];
const rows = parts.map(([name, has]) => {
  const figures = ways.map((way) => average(answers.filter((answer) => answer.way === way && has(answer))));
  const count = answers.filter((answer) => answer.way === 'words' && has(answer)).length;
  return [name, String(count), ...figures.map(({ recall, gain }) => `${recall.toFixed(3)} / ${gain.toFixed(3)}`)];
});
console.log('Recall@5 / nDCG@10\n');
console.log(writeTable(['questions', '', ...ways], rows));
if (values.missed) {
  for (const { text, kind, isHeldBack } of answers.filter(({ way }) => way === 'words')) {
    if (isHeldBack) continue;
    const gains = ways.map((way) => answers.find((answer) => answer.way === way && answer.text === text)?.gain ?? 0);
    if (gains.some((gain) => gain < 1)) console.log(gains.map((gain) => gain.toFixed(2)).join(' '), `${kind}: ${text}`);
  }
}
