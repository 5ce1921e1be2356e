import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';

// Generates the Prisma client and the Pothos types into src/generated, where they are missing or out of date.
// Everything that needs them runs this first: when there is nothing to do it takes no time.

const root = join(import.meta.dirname, '..');
const generated = join(root, 'src/generated');
const stampPath = join(generated, 'made-from');
const outputs = [join(generated, 'prisma/client.ts'), join(generated, 'pothos-types.ts')];
const require = createRequire(import.meta.url);

const stamp = createHash('sha256')
  .update(readFileSync(join(root, 'prisma/schema.prisma')))
  .update(readFileSync(join(root, 'node_modules/prisma/package.json')))
  .update(readFileSync(join(root, 'node_modules/@pothos/plugin-prisma/package.json')))
  .digest('hex');

const isCurrent =
  outputs.every((path) => existsSync(path)) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp;

if (!isCurrent) {
  const run = spawnSync(process.execPath, [require.resolve('prisma/build/index.js'), 'generate'], {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      // Where it finds the other generator, also if it was not npm that has started this.
      PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter),
      // Prisma would download its schema engine otherwise. `generate` never runs it; any file that exists will do.
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
  });
  if (run.status !== 0) {
    console.error(run.stdout, run.stderr);
    console.error('prisma generate failed.');
    process.exit(1);
  }
  writeFileSync(stampPath, stamp);
}
