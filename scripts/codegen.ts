import { join } from 'node:path';
import { parseArgs } from 'node:util';
import config from '../test/codegen.ts';
import { runCodegen } from './run-codegen.ts';

// npm run codegen: types for the documents of the tests and examples, by test/codegen.ts.
// With --check, it writes nothing and fails if a document does not fit the schema or nothing can be generated.

const { values } = parseArgs({ options: { check: { type: 'boolean' } } });
const problems = await runCodegen(config, join(import.meta.dirname, '..'), { check: values.check ?? false });
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
