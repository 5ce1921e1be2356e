import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';

// For .ci/run: node scripts/sum-report.ts report.json exitCode [suite]...
// Reads a JSON report of vitest, prints what ran, and ends with `<passed> <failed>`. A suite that ran no test has
// failed, and so has each named suite that is not in the report, and a run that ended badly although no test failed.

const [path, exitCode, ...named] = process.argv.slice(2);
const reportShape = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      startTime: z.number(),
      endTime: z.number(),
      assertionResults: z.array(z.object({ status: z.string() })),
    }),
  ),
});

let passed = 0;
let failed = 0;
try {
  const report = reportShape.parse(JSON.parse(readFileSync(path ?? '', 'utf8')));
  const suites = report.testResults.map(({ name, startTime, endTime, assertionResults }) => {
    const count = (status: string) => assertionResults.filter((test) => test.status === status).length;
    const ran = count('passed') + count('failed');
    passed += count('passed');
    failed += ran === 0 ? 1 : count('failed');
    return {
      file: relative(process.cwd(), name),
      count,
      ran,
      skipped: assertionResults.length - ran,
      seconds: (endTime - startTime) / 1_000,
    };
  });
  // The slowest last, next to the sums.
  for (const { file, count, ran, skipped, seconds } of suites.sort((a, b) => a.seconds - b.seconds)) {
    const notes = `${skipped > 0 ? `, ${skipped} skipped` : ''}${ran === 0 ? ': RAN NO TEST' : ''}`;
    console.error(`${file}: ${count('passed')} passed, ${count('failed')} failed${notes}, ${seconds.toFixed(1)} s`);
  }
  for (const name of named.filter((suite) => !suites.some(({ file, ran }) => file === suite && ran > 0))) {
    failed += 1;
    console.error(`${name}: NAMED, AND RAN NO TEST`);
  }
} catch (error) {
  console.error('There is no report:', error);
}
if (passed + failed === 0) console.error('NO SUITE RAN');
if (failed === 0 && (exitCode !== '0' || passed === 0)) failed += 1;
console.log(passed, failed);
