import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { type Report, readReport, type Suite } from './vitest-report.ts';

// For .ci/run: node scripts/sum-report.ts --report file --code exitCode --output file --failures file
//   [--again file --again-code exitCode] [suite]...
// Reads a JSON report of vitest, prints what ran, and ends with `<passed> <failed>`. A suite that ran no test has
// failed, and so has each named suite that is not in the report, one that failed outside of its tests, and a run that
// ended badly although no test failed. `--again` is the report of the suites that failed, run once more by themselves: it
// decides on them, and what failed the first time is told as unstable.

const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: {
    report: { type: 'string', default: '' },
    code: { type: 'string', default: '' },
    output: { type: 'string', default: '' },
    failures: { type: 'string', default: '' },
    again: { type: 'string', default: '' },
    'again-code': { type: 'string', default: '0' },
  },
});

/** What vitest has said of errors that belong to no test: the report does not hold them. Without it, its last words. */
function quoteOutput(): string {
  const lines = stripVTControlCharacters(readFileSync(values.output, 'utf8')).split('\n');
  const first = lines.findIndex((line) => /Unhandled|Error during|closing|Worker .*exited/i.test(line));
  return (first < 0 ? lines.slice(-20) : lines.slice(first, first + 40)).join('\n').slice(0, 4_000);
}

/** What failed in a suite, a text each. */
function failuresOf({ file, ran, isBroken, message, failed }: Suite): readonly string[] {
  if (ran === 0) return [`${file}: ran no test\n${message}`];
  if (isBroken) return [`${file}: failed before or after its tests\n${message}`];
  return failed.map(({ name, cause }) => `${file}: ${name}\n${cause}`);
}

let passed = 0;
let failed = 0;
const failures: string[] = [];
const unstable: string[] = [];
let code = values.code;
try {
  const first: Report = readReport(values.report);
  const second: Report = existsSync(values.again) ? readReport(values.again) : [];
  if (second.length > 0) code = values['again-code'];
  const suites = first.map((suite) => second.find(({ file }) => file === suite.file) ?? suite);
  for (const suite of first.filter((suite) => !suites.includes(suite))) unstable.push(...failuresOf(suite));
  for (const suite of suites) {
    const broken = failuresOf(suite);
    passed += suite.passed;
    failed += broken.length;
    failures.push(...broken);
  }
  // The slowest last, next to the sums.
  for (const suite of suites.toSorted((a, b) => a.seconds - b.seconds)) {
    const notes = `${suite.skipped > 0 ? `, ${suite.skipped} skipped` : ''}${suite.ran === 0 ? ': RAN NO TEST' : ''}`;
    console.error(
      `${suite.file}: ${suite.passed} passed, ${suite.failed.length} failed${notes}, ${suite.seconds.toFixed(1)} s`,
    );
  }
  for (const name of named.filter((suite) => !suites.some(({ file, ran }) => file === suite && ran > 0))) {
    failed += 1;
    failures.push(`${name}: named, and ran no test`);
  }
} catch (error) {
  console.error('There is no report:', error);
}
if (passed + failed === 0) failures.push('No suite ran.');
if (failed === 0 && (code !== '0' || passed === 0)) {
  failed += 1;
  failures.push(`The command ended with code ${code}, although no test failed.\n${quoteOutput()}`);
}
const told = [
  ...unstable.map((failure) => `UNSTABLE, failed beside others and was run once more by itself: ${failure}`),
  ...failures.map((failure) => `FAILED: ${failure}`),
];
for (const text of told) console.error(text);
// .ci/run tells them once more at its end, which is what is kept of a long output.
if (values.failures !== '' && told.length > 0)
  appendFileSync(values.failures, told.map((text) => `${text}\n`).join(''));
console.log(passed, failed);
