import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'vite';
import codegenConfig from '../../codegen.ts';
import { runCodegen } from '../../scripts/run-codegen.ts';
import { unpackClient } from '../support/packed-client.ts';

const root = join(import.meta.dirname, '../..');

/** A front end's settings, as its build tool creates them. */
const compilerOptions = {
  target: 'es2023',
  lib: ['es2023', 'dom', 'dom.iterable'],
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  noEmit: true,
};

/** What a command printed, and its exit code. */
interface Outcome {
  readonly printed: string;
  readonly status: number | null;
}

/** A front end of its own, in a folder: it has a copy of codegen.ts and schema.graphql, and its code in `src/`. */
export interface Project {
  readonly folder: string;
  /** Generates types and what caches must know, as `npx graphql-codegen` does. @returns what is wrong with the documents */
  generate(): Promise<string[]>;
  /** Runs relay-compiler with `relay.config.json`. */
  compileRelay(): Outcome;
  /** Checks the types. */
  compile(): Promise<Outcome>;
  /** Bundles `src/page-<name>.ts` of each name into `out/<name>.js`. */
  bundle(names: readonly string[]): Promise<void>;
}

/** Creates the folder of a front end, with the packed @switchboard/client. It is removed at the end. */
export async function createProject(resources: AsyncDisposableStack): Promise<Project> {
  await mkdir(join(root, 'dist'), { recursive: true });
  const folder = resources.adopt(await mkdtemp(join(root, 'dist/clients-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await mkdir(join(folder, 'src'));
  const client = join(folder, 'node_modules/@switchboard/client');
  await mkdir(client, { recursive: true });
  await unpackClient(client);
  return {
    folder,
    async generate() {
      await copyFile(join(root, 'codegen.ts'), join(folder, 'codegen.ts'));
      await copyFile(join(root, 'schema.graphql'), join(folder, 'schema.graphql'));
      return runCodegen(codegenConfig, folder);
    },
    compileRelay: () => run(folder, 'relay-compiler/cli.js', ['relay.config.json']),
    compile: () => compileFolder(folder),
    async bundle(names) {
      const input = Object.fromEntries(names.map((name) => [name, join(folder, `src/page-${name}.ts`)]));
      await build({
        root: folder,
        configFile: false,
        logLevel: 'error',
        plugins: [importRelayArtifacts],
        define: { __DEV__: 'true', 'process.env.NODE_ENV': '"development"' },
        build: {
          target: 'esnext',
          minify: false,
          outDir: 'out',
          rollupOptions: { input, output: { entryFileNames: '[name].js', chunkFileNames: 'chunk-[name].js' } },
        },
      });
    },
  };
}

/** Checks the types of a front end, whose code is in `src/`. */
export async function compileFolder(folder: string, options: Readonly<Record<string, unknown>> = {}): Promise<Outcome> {
  const settings = { compilerOptions: { ...compilerOptions, ...options }, include: ['src'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings));
  return run(folder, 'typescript/bin/tsc', ['-p', folder]);
}

/** Runs a script of an installed package. */
function run(folder: string, command: string, args: readonly string[]): Outcome {
  const path = join(root, 'node_modules', command);
  const { stdout, stderr, status } = spawnSync(process.execPath, [path, ...args], { cwd: folder, encoding: 'utf8' });
  return { printed: status === 0 ? '' : stdout + stderr, status };
}

/** Does what babel-plugin-relay does in a front end: each document in the code becomes an import of its artifact. */
const importRelayArtifacts: Plugin = {
  name: 'relay-artifacts',
  enforce: 'pre',
  transform(code, id) {
    if (!code.includes('relay-runtime') || !code.includes('graphql`')) return null;
    if (!id.endsWith('.ts') || id.includes('node_modules')) return null;
    const imports: string[] = [];
    const replaced = code.replace(/graphql`\s*\w+ (\w+)[^`]*`/g, (_document, name: string) => {
      imports.push(`import ${name} from './__generated__/${name}.graphql';`);
      return name;
    });
    return [...imports, replaced].join('\n');
  },
};

/** A code block of a page. */
export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** The file that the text before the block names, if any. */
  readonly file: string | undefined;
}

/** The code blocks of a page, or of a section of it. */
export function listBlocks(markdown: string): CodeBlock[] {
  return [...markdown.matchAll(/^ *```(\w+)\n([\s\S]*?)^ *```$/gm)].map((block) => {
    const [, language = '', code = ''] = block;
    const before =
      markdown
        .slice(0, block.index)
        .trimEnd()
        .split(/\n\n|```\n/)
        .at(-1) ?? '';
    return { language, code, file: /`(src\/[\w.-]+|relay\.config\.json)`/.exec(before)?.[1] };
  });
}
