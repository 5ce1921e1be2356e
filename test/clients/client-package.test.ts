import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { unpackClient } from '../support/packed-client.ts';

// What `npm pack` makes of packages/client, read as its users get it.

const resources = new AsyncDisposableStack();
let folder: string;
let manifest: z.infer<typeof manifestShape>;
let files: string[];

const manifestShape = z.object({
  exports: z.record(z.string(), z.object({ types: z.string(), default: z.string() })),
  dependencies: z.record(z.string(), z.string()).optional(),
  peerDependencies: z.record(z.string(), z.string()),
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.literal(true) })),
});

beforeAll(async () => {
  folder = resources.adopt(await mkdtemp(join(tmpdir(), 'switchboard-client-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await unpackClient(folder);
  manifest = manifestShape.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  files = entries.flatMap((entry) => (entry.isFile() ? [relative(folder, join(entry.parentPath, entry.name))] : []));
});
afterAll(() => resources.disposeAsync());

/** What a module and those that it imports need of other packages. */
async function listPackages(file: string, seen = new Set<string>()): Promise<Set<string>> {
  if (seen.has(file)) return new Set();
  seen.add(file);
  const code = await readFile(join(folder, file), 'utf8');
  const packages = new Set<string>();
  for (const [, name = ''] of code.matchAll(
    /(?:^(?:import|export) (?:[^'"\n]* from )?|\bimport\()['"]([^'"\n]+)['"]/gm,
  )) {
    if (name.startsWith('.')) {
      // TypeScript takes the declarations of a file for `./file.ts`.
      const target = join(dirname(file), name.replace(/\.ts$/, '.d.ts'));
      expect(files, `${file} imports ${name}`).toContain(target);
      for (const each of await listPackages(target, seen)) packages.add(each);
    } else packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name);
  }
  return packages;
}

test('The package contains what its exports name, its licence and its manual, and no sources', () => {
  for (const { types, default: code } of Object.values(manifest.exports)) {
    expect(files).toContain(join(types));
    expect(files).toContain(join(code));
  }
  const others = files.filter((file) => !/^dist[\\/].*(\.js|\.d\.ts)$/.test(file));
  expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
});

test('The package depends on nothing, and each of its modules needs its own peers alone', async () => {
  expect(manifest.dependencies).toBeUndefined();
  const needed: Record<string, [string[], string[]]> = {};
  for (const [path, { types, default: code }] of Object.entries(manifest.exports)) {
    needed[path] = [[...(await listPackages(join(code)))].sort(), [...(await listPackages(join(types)))].sort()];
  }
  expect(needed).toEqual({
    '.': [[], ['graphql-ws']],
    './react': [['react'], ['graphql-ws']],
    './apollo': [
      ['@apollo/client', 'graphql'],
      ['@apollo/client', 'graphql-ws'],
    ],
    './urql': [['@urql/core'], ['@urql/core', 'graphql-ws']],
    './graphcache': [[], ['@urql/exchange-graphcache']],
  });
  const peers = Object.keys(manifest.peerDependencies);
  expect(peers.sort()).toEqual([...new Set(Object.values(needed).flat(2))].sort());
  expect(Object.keys(manifest.peerDependenciesMeta).sort()).toEqual(peers.filter((name) => name !== 'graphql-ws'));
});

test('The core has less than 6 kB, minified and compressed', async () => {
  const built = await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      lib: { entry: join(folder, manifest.exports['.']?.default ?? ''), formats: ['es'], fileName: 'core' },
    },
  });
  const [output] = [built].flat();
  if (!output || !('output' in output)) throw new Error('Nothing was built.');
  const [chunk] = output.output;
  expect(chunk.imports).toEqual([]);
  expect(chunk.code).toContain('chatTurn');
  expect(gzipSync(chunk.code).length).toBeLessThan(6_000);
});
