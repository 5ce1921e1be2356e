import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

// npm run durability -- [--short] [--seed 123] [suite]... [-- options of vitest]: kills, stops and cuts off servers at random
// moments, explores all orders of moves, and prints what became of the turns. On the server of TEST_DATABASE_URL if that
// is set. The exit code is that of vitest.

const { values, positionals } = parseArgs({
  options: { short: { type: 'boolean', default: false }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!Number.isSafeInteger(seed)) throw new Error('--seed must be a whole number.');

const folder = await mkdtemp(join(tmpdir(), 'switchboard-durability-'));
const file = join(folder, 'report');
const config = ['--config', 'vitest.durability.config.ts'];
// The explorer does the same in `npm test`.
const suites = values.short ? ['test/durability/long/'] : [];
const child = spawn('vitest', ['run', ...config, ...suites, ...positionals], {
  stdio: 'inherit',
  env: {
    ...process.env,
    DURABILITY_FORM: values.short ? 'short' : 'full',
    DURABILITY_SEED: String(seed),
    DURABILITY_REPORT: file,
  },
});
const [code] = await once(child, 'exit');
const text = await readFile(file, 'utf8').catch(() => '');
await rm(folder, { recursive: true });
const lines = text.split('\n').filter((line) => line !== '');
const rows = lines.map((line) => z.array(z.string()).parse(JSON.parse(line))).sort();
console.log(`\n| what | how much | what became of it |\n|---|---|---|`);
for (const cells of rows) console.log(`| ${cells.join(' | ')} |`);
console.log(`\nTo do the same again: npm run durability -- ${values.short ? '--short ' : ''}--seed ${seed}`);
process.exitCode = code === 0 ? 0 : 1;
