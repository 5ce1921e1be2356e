import { readFileSync } from 'node:fs';
import { readReport } from './vitest-report.ts';

// For .ci/run: node scripts/list-failed-suites.ts report.json outputFile
// Prints the suites with failed tests, if they may run once more by themselves: a few of them, and nothing else was wrong. An
// error outside of tests, a suite that ran no test and a change that breaks many suites are no matter of luck.

const maxSuites = 5;
const [path = '', outputFile = ''] = process.argv.slice(2);
const report = readReport(path);
const failed = report.filter((suite) => suite.failed.length > 0);
const isStrange = report.some((suite) => suite.ran === 0 || suite.isBroken);
const hasErrorsOutside = /Unhandled (?:Errors?|Rejection|Exception)/i.test(readFileSync(outputFile, 'utf8'));
if (failed.length <= maxSuites && !isStrange && !hasErrorsOutside) for (const { file } of failed) console.log(file);
