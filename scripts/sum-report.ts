import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';

// For .ci/run: node scripts/sum-report.ts report.json exitCode failuresFile [suite]...
// Reads a JSON report of vitest, prints what ran, and ends with `<passed> <failed>`. A suite that ran no test has
// failed, and so has each named suite that is not in the report, and a run that ended badly although no test failed.

const [path, exitCode, failuresFile, ...named] = process.argv.slice(2);
const reportShape = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      startTime: z.number(),
      endTime: z.number(),
      // What a suite says that broke before its tests.
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string().default(''),
          // null for what is thrown and is no error.
          failureMessages: z.array(z.string().nullable()).nullish(),
        }),
      ),
    }),
  ),
});

/** The first lines of what failed, which name the cause. */
const beginning = (message: string): string => message.split('\n').slice(0, 12).join('\n').slice(0, 2_000);

let passed = 0;
let failed = 0;
const failures: string[] = [];
try {
  const report = reportShape.parse(JSON.parse(readFileSync(path ?? '', 'utf8')));
  const suites = report.testResults.map(({ name, startTime, endTime, message, assertionResults }) => {
    const count = (status: string) => assertionResults.filter((test) => test.status === status).length;
    const ran = count('passed') + count('failed');
    passed += count('passed');
    failed += ran === 0 ? 1 : count('failed');
    const file = relative(process.cwd(), name);
    if (ran === 0) failures.push(`${file}: ran no test\n${beginning(message)}`);
    for (const test of assertionResults.filter(({ status }) => status === 'failed')) {
      failures.push(
        `${file}: ${test.fullName}\n${beginning((test.failureMessages ?? []).map((message) => message ?? 'What was thrown is no error.').join('\n'))}`,
      );
    }
    return {
      file,
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
    failures.push(`${name}: named, and ran no test`);
  }
} catch (error) {
  console.error('There is no report:', error);
}
if (passed + failed === 0) failures.push('No suite ran.');
if (failed === 0 && (exitCode !== '0' || passed === 0)) {
  failed += 1;
  failures.push(`The command ended with code ${exitCode}, although no test failed.`);
}
for (const failure of failures) console.error(`FAILED: ${failure}`);
// .ci/run tells them once more at its end, which is what is kept of a long output.
if (failuresFile && failures.length > 0) {
  appendFileSync(failuresFile, failures.map((failure) => `${failure}\n`).join(''));
}
console.log(passed, failed);
