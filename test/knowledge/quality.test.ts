import { afterAll, expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { shareApp } from '../support/app.ts';
import { average, measureSearch } from './collection/measure.ts';

const demo = await startDemoModel();
afterAll(() => demo.close());
const app = shareApp({ env: { OPENAI_BASE_URL: demo.url, EMBEDDING_MODEL: 'switchboard-demo-embedding' } });

test('Words and vectors together find what is asked for no worse than either alone', async () => {
  const { search, db } = app.app;
  const answers = await measureSearch(search, db, search.vectors.isAvailable ? undefined : ['words']);
  const figures = (way: string) => average(answers.filter((answer) => answer.way === way));
  const words = figures('words');
  // Without pgvector, words alone have to find most of what is asked in the words of the passages, well spelt or not.
  const plain = answers.filter(({ way, kind }) => way === 'words' && kind !== 'other words');
  expect(average(plain).recall).toBeGreaterThan(0.95);
  if (!search.vectors.isAvailable) return;
  const [vectors, hybrid] = [figures('vectors'), figures('hybrid')];
  for (const alone of [words, vectors]) {
    expect(hybrid.recall).toBeGreaterThanOrEqual(alone.recall);
    expect(hybrid.gain).toBeGreaterThanOrEqual(alone.gain);
  }
});
