import { join } from 'node:path';
import { parseArgs } from 'node:util';
import clientConfig from '../packages/client/codegen.ts';
import config from '../test/codegen.ts';
import { runCodegen } from './run-codegen.ts';

// npm run codegen: types for the documents of the tests and examples, by test/codegen.ts, and of packages/client.
// With --check, it writes nothing and fails if a document does not fit the schema or nothing can be generated.

const { values } = parseArgs({ options: { check: { type: 'boolean' } } });
for (const each of [config, clientConfig]) {
  const problems = await runCodegen(each, join(import.meta.dirname, '..'), { check: values.check ?? false });
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}
