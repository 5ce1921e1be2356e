import { readFileSync } from 'node:fs';
import { z } from 'zod';

// For .ci/run: reads a JSON report of vitest and prints `<passed> <failed>`. A suite that ran no test has failed, and
// so has a run that ended badly although no test of it failed.

const [path, exitCode] = process.argv.slice(2);
const reportShape = z.object({
  testResults: z.array(z.object({ name: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

let passed = 0;
let failed = 0;
try {
  const report = reportShape.parse(JSON.parse(readFileSync(path ?? '', 'utf8')));
  for (const suite of report.testResults) {
    const count = (status: string) => suite.assertionResults.filter((test) => test.status === status).length;
    const ran = count('passed') + count('failed');
    const skipped = suite.assertionResults.length - ran;
    passed += count('passed');
    failed += ran === 0 ? 1 : count('failed');
    const notes = `${skipped > 0 ? `, ${skipped} skipped` : ''}${ran === 0 ? ': RAN NO TEST' : ''}`;
    console.error(`${suite.name}: ${count('passed')} passed, ${count('failed')} failed${notes}`);
  }
} catch (error) {
  console.error('There is no report:', error);
}
if (passed + failed === 0) console.error('NO SUITE RAN');
if (failed === 0 && (exitCode !== '0' || passed === 0)) failed += 1;
console.log(passed, failed);
