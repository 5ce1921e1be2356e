import { glob, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as add from '@graphql-codegen/add';
import { preset } from '@graphql-codegen/client-preset';
import { codegen } from '@graphql-codegen/core';
import * as fragmentMatcher from '@graphql-codegen/fragment-matcher';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, type DocumentNode, Kind, parse, validate } from 'graphql';

/** A configuration of @graphql-codegen/cli, as far as this repository uses it. */
export interface CodegenConfig {
  readonly schema: string;
  readonly documents: readonly string[];
  readonly generates: Readonly<Record<string, CodegenTarget>>;
}

interface CodegenTarget {
  readonly preset?: string;
  readonly presetConfig?: Readonly<Record<string, unknown>>;
  readonly plugins?: readonly CodegenPlugin[];
  readonly config?: Readonly<Record<string, unknown>>;
}

/** A plugin by its name, or its name with its settings. */
type CodegenPlugin = string | Readonly<Record<string, Readonly<Record<string, unknown>>>>;

interface DocumentFile {
  readonly location: string;
  readonly rawSDL: string;
  readonly document: DocumentNode;
}

interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/**
 * Generates what a configuration asks for. It calls what @graphql-codegen/cli calls, whose other dependencies nothing here
 * needs.
 * @param root the folder that the paths of the configuration are relative to
 * @param options.check writes nothing
 * @returns what is wrong with the documents; empty: all files were generated
 */
export async function runCodegen(
  config: CodegenConfig,
  root: string,
  options: { readonly check?: boolean } = {},
): Promise<string[]> {
  const sdl = await readFile(join(root, config.schema), 'utf8');
  const documents = await readDocuments(config, root);
  if (documents.length === 0) return [`No documents in ${config.documents.join(', ')}.`];
  // One document may use the fragments of another, so they are validated together, as the generator does.
  const merged: DocumentNode = {
    kind: Kind.DOCUMENT,
    definitions: documents.flatMap(({ document }) => document.definitions),
  };
  const problems = validate(buildSchema(sdl), merged).map(({ message }) => message);
  if (problems.length > 0) return problems;

  for (const [target, { preset: presetName, presetConfig, plugins, config: settings }] of Object.entries(
    config.generates,
  )) {
    const files =
      presetName === 'client'
        ? await generateClient(target, sdl, documents, settings ?? {}, presetConfig ?? {})
        : [await generateFile(target, sdl, documents, plugins ?? [], settings ?? {})];
    if (options.check) continue;
    if (presetName === 'client') await rm(join(root, target), { recursive: true, force: true });
    for (const { path, text } of files) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  }
  return [];
}

async function readDocuments(config: CodegenConfig, root: string): Promise<DocumentFile[]> {
  const documents: DocumentFile[] = [];
  for await (const location of glob([...config.documents], { cwd: root })) {
    const rawSDL = await readFile(join(root, location), 'utf8');
    documents.push({ location, rawSDL, document: parse(rawSDL) });
  }
  return documents.sort((a, b) => (a.location < b.location ? -1 : 1));
}

async function generateClient(
  folder: string,
  sdl: string,
  documents: DocumentFile[],
  config: Readonly<Record<string, unknown>>,
  presetConfig: Readonly<Record<string, unknown>>,
): Promise<GeneratedFile[]> {
  const files = await preset.buildGeneratesSection({
    baseOutputDir: folder,
    schema: parse(sdl),
    schemaAst: buildSchema(sdl),
    documents,
    config,
    presetConfig,
    plugins: [],
    pluginMap: {},
  });
  return Promise.all(files.map(async (file) => ({ path: file.filename, text: await codegen(file) })));
}

async function generateFile(
  filename: string,
  sdl: string,
  documents: DocumentFile[],
  plugins: readonly CodegenPlugin[],
  config: Readonly<Record<string, unknown>>,
): Promise<GeneratedFile> {
  const text = await codegen({
    filename,
    schema: parse(sdl),
    schemaAst: buildSchema(sdl),
    documents,
    config,
    plugins: plugins.map((plugin) => (typeof plugin === 'string' ? { [plugin]: {} } : { ...plugin })),
    pluginMap: { add, 'fragment-matcher': fragmentMatcher, 'typescript-operations': typescriptOperations },
  });
  return { path: filename, text };
}
