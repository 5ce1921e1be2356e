import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { InlineConfig } from 'vite';

// npm run web: the page of examples/web with its code reloaded as it changes, beside a server that runs already.
// With --example apollo, that of examples/apollo.
// With --generate, it only writes the types of its documents. With --build, it is built into dist/web, which the server serves at `/`, with the dock beside it; if nothing has changed since, that takes no time.

const root = join(import.meta.dirname, '..');
const folder = join(root, 'examples/web');
const dockFolder = join(root, 'examples/dock');
const built = join(root, 'dist/web');
const { values } = parseArgs({
  options: { build: { type: 'boolean' }, generate: { type: 'boolean' }, example: { type: 'string', default: 'web' } },
});

if (values.generate) await generate();
else if (values.build) await buildPage();
else await serve();

async function generate(): Promise<void> {
  // codegen.ts reads the schema of the folder that it is called in.
  process.chdir(root);
  const { runCodegen } = await import('./run-codegen.ts');
  const { admin, chat, voice } = await import('../examples/web/codegen.ts');
  const { default: clientConfig } = await import('../packages/client/codegen.ts');
  const { default: dock } = await import('../examples/dock/codegen.ts');
  const { default: apollo } = await import('../examples/apollo/codegen.ts');
  const problems = [
    ...(await runCodegen(clientConfig, root)),
    ...(await runCodegen(chat, folder)),
    ...(await runCodegen(admin, folder)),
    ...(await runCodegen(voice, folder)),
    ...(await runCodegen(dock, dockFolder)),
    ...(await runCodegen(apollo, join(root, 'examples/apollo'))),
  ];
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

async function serve(): Promise<void> {
  await generate();
  const { createServer } = await import('vite');
  const server = await createServer({ configFile: join(root, 'examples', values.example, 'vite.config.ts') });
  await server.listen();
  server.printUrls();
}

async function buildPage(): Promise<void> {
  // Whoever builds it, a suite for example, it is the page for people: without the warnings for those who develop it.
  process.env.NODE_ENV = 'production';
  const stamp = readStamp();
  const stampPath = join(built, 'made-from');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) {
    return report('The chat page and the dock are built, and nothing has changed since');
  }
  await generate();
  const { build } = await import('vite');
  await mkdir(join(root, 'dist'), { recursive: true });
  // Others may build at the same time, and a server may read: the folder takes its place when it is whole.
  const outDir = await mkdtemp(join(root, 'dist/web-'));
  const config: InlineConfig = { configFile: join(folder, 'vite.config.ts'), logLevel: 'warn', build: { outDir } };
  await build(config);
  await build({ ...config, configFile: join(dockFolder, 'vite.config.ts') });
  await writeFile(join(outDir, 'made-from'), stamp);
  await rm(built, { recursive: true, force: true });
  await rename(outDir, built).catch(() => rm(outDir, { recursive: true, force: true }));
  report('Built the chat page and the dock');
}

/** Says what there is now, and where. `npm start` says by itself what it serves, and shows nothing of this. */
function report(what: string): void {
  const files = globSync('**/*.{html,js,css,svg}', { cwd: built });
  const kilobytes = files.reduce((sum, file) => sum + statSync(join(built, file)).size, 0) / 1_000;
  process.stdout.write(
    `${what}: ${files.length} files, ${Math.round(kilobytes)} kB, in ${built}\nnpm start serves them at / and /dock.\n`,
  );
}

/** Names all that the page is built from. */
function readStamp(): string {
  const patterns = [
    'examples/web/{index.html,*.ts,public/**,src/**/*.{ts,tsx,css,graphql}}',
    'examples/apollo/{*.ts,src/*.graphql}',
    'examples/voice-call.ts',
    'examples/dock/{*.ts,public/**,src/**/*.{ts,graphql}}',
    'packages/client/{*.ts,src/**/*.{ts,graphql}}',
    'schema.graphql',
    'package-lock.json',
  ];
  const paths = globSync(patterns, { cwd: root }).filter((path) => !path.includes('generated'));
  const hash = createHash('sha256');
  for (const path of paths.toSorted()) {
    const file = join(root, path);
    if (/\.\w+$/.test(path)) hash.update(path).update(readFileSync(file));
  }
  return hash.digest('hex');
}
