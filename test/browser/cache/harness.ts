import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, separateOperations } from 'graphql';
import { startTestApp, type TestApp } from '../../support/app.ts';
import { launchBrowser } from '../../support/browser.ts';
import { createProject, listBlocks, type Project } from '../project.ts';
import { type Library, openTab, type Shared, type Tab } from './tab.ts';

const root = join(import.meta.dirname, '../../..');

/** The snippets of docs/clients.md that make caches. */
const files = [
  'src/apollo-cache.ts',
  'src/urql-graphcache.ts',
  'relay.config.json',
  'src/relay.ts',
  'src/relay-cache.ts',
];

/** A server, a browser and a front end. */
export interface Harness {
  readonly app: TestApp;
  readonly project: Project;
  /** Opens a page of a library, for a user of its own. Call it after the project was bundled. */
  openTab(library: Library): Promise<Tab>;
}

/** Starts what the tests of all libraries share. */
export async function openHarness(resources: AsyncDisposableStack): Promise<Harness> {
  const project = await createProject(resources);
  await copySources(project);
  const app = resources.use(await startTestApp());
  const browser = await launchBrowser(resources);
  const documents = separateOperations(parse(await readFile(join(root, 'examples/cache.graphql'), 'utf8')));
  const serve: Shared['serve'] = (request, response) => {
    const name = (request.url ?? '').slice(1);
    if (!name.endsWith('.js')) {
      const page = `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/${name}.js"></script>`;
      response.setHeader('content-type', 'text/html').end(page);
      return;
    }
    readFile(join(project.folder, 'out', name)).then(
      (code) => response.setHeader('content-type', 'text/javascript').end(code),
      () => response.writeHead(404).end(),
    );
  };
  return { app, project, openTab: (library) => openTab({ app, browser, serve, documents }, library) };
}

/** The front end has the files of its folder and, as a reader of docs/clients.md, its snippets and those of examples/. */
async function copySources(project: Project): Promise<void> {
  const sources = [join(import.meta.dirname, 'front-end'), join(root, 'examples')];
  for (const folder of sources) {
    for (const name of await readdir(folder)) {
      if (/\.(ts|graphql)$/.test(name)) await copyFile(join(folder, name), join(project.folder, 'src', name));
    }
  }
  const snippets = listBlocks(await readFile(join(root, 'docs/clients.md'), 'utf8'));
  for (const { file, code } of snippets) {
    if (file !== undefined && files.includes(file)) await writeFile(join(project.folder, file), code);
  }
}
