import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { maxFileBytes, parseScenarioFile, type ScenarioFile, ScenarioFileError } from './format.ts';

async function readScenarioFile(path: string): Promise<ScenarioFile> {
  return parseScenarioFile(path, await readStart(path, maxFileBytes + 1));
}

/** Reads at most `length` bytes of a file. */
async function readStart(path: string, length: number): Promise<Uint8Array> {
  try {
    await using file = await open(path);
    const parts: Buffer[] = [];
    for await (const part of file.createReadStream({ end: length - 1 })) parts.push(part);
    return Buffer.concat(parts);
  } catch (error) {
    throw new ScenarioFileError(path, [error instanceof Error ? error.message : 'it cannot be read']);
  }
}

/**
 * Reads all scenario files of a folder (*.yaml, *.yml, *.json; not those in subfolders), ordered by name.
 * @throws {ScenarioFileError} naming the file or the folder, and the problem; also as `readScenarioFiles` does
 */
export async function readScenarioFolder(folder: string): Promise<ScenarioFile[]> {
  const entries = await readdir(folder).catch((error: unknown) => {
    throw new ScenarioFileError(folder, [error instanceof Error ? error.message : 'it cannot be read']);
  });
  const names = entries.filter((name) => /\.(ya?ml|json)$/i.test(name) && !name.startsWith('.')).sort();
  return readScenarioFiles(names.map((name) => join(folder, name)));
}

/**
 * Reads scenario files that are to be imported together.
 * @throws {ScenarioFileError} naming the file and the problem; also if two files contain the same scenario, or describe
 *   the same agent differently, for one tenant
 */
export async function readScenarioFiles(paths: readonly string[]): Promise<ScenarioFile[]> {
  const files: ScenarioFile[] = [];
  for (const path of paths) {
    const file = await readScenarioFile(path);
    for (const other of files) if (shareTenants(file, other)) assertCompatible(file, other);
    files.push(file);
  }
  return files;
}

/** Whether both files can be for the same tenant. */
function shareTenants(
  { content: { tenant: one } }: ScenarioFile,
  { content: { tenant: other } }: ScenarioFile,
): boolean {
  return one === undefined || other === undefined || one === other;
}

function assertCompatible(file: ScenarioFile, other: ScenarioFile): void {
  const { scenario, agents } = file.content;
  const theirs = other.content;
  if (theirs.scenario.key === scenario.key && theirs.scenario.projectId === scenario.projectId) {
    throw new ScenarioFileError(file.path, [`scenario.key: ${JSON.stringify(scenario.key)} is also in ${other.path}`]);
  }
  for (const [index, { handoffs: _, ...agent }] of agents.entries()) {
    const known = theirs.agents.find(({ name }) => name === agent.name);
    if (known === undefined) continue;
    const { handoffs: __, ...same } = known;
    if (isDeepStrictEqual(agent, same)) continue;
    const problem = `agents.${index}: ${JSON.stringify(agent.name)} is described differently in ${other.path}`;
    throw new ScenarioFileError(file.path, [problem]);
  }
}
