import { glob, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { preset } from '@graphql-codegen/client-preset';
import { codegen } from '@graphql-codegen/core';
import { buildSchema, type DocumentNode, Kind, parse, validate } from 'graphql';
import config from '../codegen.ts';

// npm run codegen: types for the documents of the tests and examples, by codegen.ts. It calls what the
// @graphql-codegen/cli calls, whose other dependencies nothing here needs.
// With --check, it writes nothing and fails where a document does not fit the schema or nothing can be generated.

const { values } = parseArgs({ options: { check: { type: 'boolean' } } });
const root = join(import.meta.dirname, '..');

const sdl = await readFile(join(root, config.schema), 'utf8');
const schemaAst = buildSchema(sdl);
const documents: { location: string; rawSDL: string; document: DocumentNode }[] = [];
for await (const location of glob(config.documents, { cwd: root })) {
  const rawSDL = await readFile(join(root, location), 'utf8');
  documents.push({ location, rawSDL, document: parse(rawSDL) });
}
documents.sort((a, b) => (a.location < b.location ? -1 : 1));

// One document may use the fragments of another, so they are judged together, as the generator does.
const merged: DocumentNode = {
  kind: Kind.DOCUMENT,
  definitions: documents.flatMap(({ document }) => document.definitions),
};
const problems = validate(schemaAst, merged);
for (const problem of problems) console.error(problem.message);
if (documents.length === 0) console.error(`No documents in ${config.documents.join(', ')}.`);
if (problems.length > 0 || documents.length === 0) process.exit(1);

for (const [folder, target] of Object.entries(config.generates)) {
  const files = await preset.buildGeneratesSection({
    baseOutputDir: folder,
    schema: parse(sdl),
    schemaAst,
    documents,
    config: target.config,
    presetConfig: target.presetConfig,
    plugins: [],
    pluginMap: {},
  });
  const contents = await Promise.all(files.map(async (file) => ({ path: file.filename, text: await codegen(file) })));
  if (values.check) continue;
  await rm(join(root, folder), { recursive: true, force: true });
  for (const { path, text } of contents) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}
