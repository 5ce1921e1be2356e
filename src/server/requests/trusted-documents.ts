import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type GraphQLSchema, parse, stripIgnoredCharacters, validate } from 'graphql';
import { z } from 'zod';

const maxFileBytes = 20 * 1024 * 1024;
const maxDocuments = 10_000;
const maxCharacters = 50_000_000;

const id = z.string().min(1).max(200);
/** What `npx graphql-codegen` (client-preset, persistedDocuments) and relay-compiler write: texts by their ids. */
const textsById = z.record(id, z.string());
/** What `@apollo/generate-persisted-query-manifest` writes. */
const apolloManifest = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id, body: z.string() })),
});
const manifest = z.union([
  apolloManifest.transform(({ operations }) => operations.map((operation) => [operation.id, operation.body] as const)),
  textsById.transform((texts) => Object.entries(texts)),
]);

/** Documents that the operator trusts, by the ids that clients send in place of them. */
export class TrustedDocuments {
  readonly #texts: ReadonlyMap<string, string>;
  /** The texts without the characters that mean nothing. */
  readonly #stripped: ReadonlySet<string>;

  /** @param texts by id; the SHA-256 of a text is an id of it as well */
  constructor(texts: ReadonlyMap<string, string>) {
    const all = new Map<string, string>();
    for (const text of texts.values()) all.set(createHash('sha256').update(text).digest('hex'), text);
    for (const [given, text] of texts) all.set(given, text);
    this.#texts = all;
    this.#stripped = new Set([...texts.values()].map((text) => stripIgnoredCharacters(text)));
  }

  /** How many documents there are. */
  get size(): number {
    return this.#stripped.size;
  }

  /** The document with an id; undefined: none has it. */
  find(id: string): string | undefined {
    return this.#texts.get(id);
  }

  /** Whether a text is one of the documents, apart from white space and comments. */
  holds(text: string): boolean {
    if (this.#stripped.has(text)) return true;
    try {
      return this.#stripped.has(stripIgnoredCharacters(text));
    } catch {
      // It is no GraphQL at all.
      return false;
    }
  }

  /** The ids of documents that are not valid, with what is wrong; at most 20. */
  explainInvalid(schema: GraphQLSchema): { readonly id: string; readonly problem: string }[] {
    const invalid: { id: string; problem: string }[] = [];
    for (const [given, text] of this.#texts) {
      const [error] = validate(schema, parse(text));
      if (error) invalid.push({ id: given, problem: error.message });
      if (invalid.length === 20) break;
    }
    return invalid;
  }
}

/**
 * Reads trusted documents: a manifest of GraphQL Code Generator, relay-compiler or Apollo (JSON), or a folder with such
 * manifests and `.graphql` files. The id of a `.graphql` file is the SHA-256 of its text.
 * @throws {Error} that names the file and what is wrong with it
 */
export async function readTrustedDocuments(path: string): Promise<TrustedDocuments> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw new Error(`${path} cannot be read.`, { cause });
    },
  );
  const names = isFolder ? (await readdir(path)).sort().map((name) => join(path, name)) : [path];
  const files = isFolder ? names.filter((name) => /\.(json|graphql|gql)$/.test(name)) : names;
  if (files.length === 0) throw new Error(`${path} has no .json and no .graphql file.`);
  const texts = new Map<string, string>();
  let characters = 0;
  for (const file of files) {
    for (const [given, text] of await readFileOfDocuments(file)) {
      const known = texts.get(given);
      if (known !== undefined && known !== text) throw new Error(`${file} has another document for the id ${given}.`);
      assertSyntax(file, given, text);
      texts.set(given, text);
      characters += text.length;
      if (texts.size > maxDocuments || characters > maxCharacters) {
        throw new Error(`${path} has more than ${maxDocuments} documents or ${maxCharacters} characters.`);
      }
    }
  }
  return new TrustedDocuments(texts);
}

async function readFileOfDocuments(file: string): Promise<(readonly [id: string, text: string])[]> {
  const { size } = await stat(file);
  if (size > maxFileBytes) throw new Error(`${file} has more than ${maxFileBytes} bytes.`);
  const content = await readFile(file, 'utf8');
  if (extname(file) !== '.json') return [[createHash('sha256').update(content).digest('hex'), content]];
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (cause) {
    throw new Error(`${file} is not valid JSON.`, { cause });
  }
  const parsed = manifest.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new Error(
    `${file} is no manifest: it must be a JSON object of texts by id, or a manifest of Apollo in version 1.`,
  );
}

function assertSyntax(file: string, given: string, text: string): void {
  try {
    parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be parsed';
    throw new Error(`${file}: the document ${given.slice(0, 80)} is not valid GraphQL: ${why}`, { cause });
  }
}
