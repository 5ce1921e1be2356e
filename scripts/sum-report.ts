import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';

// For .ci/run: node scripts/sum-report.ts report.json exitCode failuresFile outputFile [suite]...
// Reads a JSON report of vitest, prints what ran, and ends with `<passed> <failed>`. A suite that ran no test has
// failed, and so has each named suite that is not in the report, one that failed outside of its tests, and a run that
// ended badly although no test failed.

const [path, exitCode, failuresFile, outputFile, ...named] = process.argv.slice(2);
const reportShape = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      startTime: z.number(),
      endTime: z.number(),
      // What a suite says that broke before its tests, or after them.
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

/** What vitest has said of errors that belong to no test: the report does not hold them. Without it, its last words. */
function quoteOutput(): string {
  const lines = stripVTControlCharacters(readFileSync(outputFile ?? '', 'utf8')).split('\n');
  const first = lines.findIndex((line) => /Unhandled|Error during|closing|Worker .*exited/i.test(line));
  return (first < 0 ? lines.slice(-20) : lines.slice(first, first + 40)).join('\n').slice(0, 4_000);
}

let passed = 0;
let failed = 0;
const failures: string[] = [];
try {
  const report = reportShape.parse(JSON.parse(readFileSync(path ?? '', 'utf8')));
  const suites = report.testResults.map(({ name, status, startTime, endTime, message, assertionResults }) => {
    const count = (status: string) => assertionResults.filter((test) => test.status === status).length;
    const ran = count('passed') + count('failed');
    const isBroken = ran > 0 && count('failed') === 0 && status === 'failed';
    passed += count('passed');
    failed += ran === 0 || isBroken ? 1 : count('failed');
    const file = relative(process.cwd(), name);
    if (ran === 0) failures.push(`${file}: ran no test\n${beginning(message)}`);
    if (isBroken) failures.push(`${file}: failed before or after its tests\n${beginning(message)}`);
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
  failures.push(`The command ended with code ${exitCode}, although no test failed.\n${quoteOutput()}`);
}
for (const failure of failures) console.error(`FAILED: ${failure}`);
// .ci/run tells them once more at its end, which is what is kept of a long output.
if (failuresFile && failures.length > 0) {
  appendFileSync(failuresFile, failures.map((failure) => `${failure}\n`).join(''));
}
console.log(passed, failed);
