import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { ProviderRules } from '../src/agents/providers/defaults.ts';
import { readAllowedModels } from '../src/agents/providers/operator-key.ts';
import { NotFoundError } from '../src/api/errors.ts';
import { contributedToolNames } from '../src/boot/contribute-tools.ts';
import type { Env } from '../src/config/env.ts';
import { AddressGuard } from '../src/outbound/address-guard.ts';
import { exportScenario } from '../src/scenarios/files/export.ts';
import { formatScenarioFile, type ScenarioFile, ScenarioFileError } from '../src/scenarios/files/format.ts';
import { type ImportReport, importScenarios } from '../src/scenarios/files/import.ts';
import { findMissingTools } from '../src/scenarios/files/missing-tools.ts';
import { readScenarioFiles } from '../src/scenarios/files/read.ts';
import { builtInTools } from '../src/tools/registry/builtin.ts';
import { readToolsFile } from '../src/tools/registry/tools-file.ts';
import { openOperatorDatabase, reportFailure } from './operator-database.ts';

// npm run scenarios -- import FILE... [--tenant default] [--dry-run]
// npm run scenarios -- export KEY [--tenant default] [--project ID] [--format yaml|json] [--out FILE]
// On DATABASE_URL, or on the embedded database, beside a running server too.

const usage = `Usage: npm run -s scenarios -- import FILE... [--tenant default] [--dry-run]
       npm run -s scenarios -- export KEY [--tenant default] [--project ID] [--format yaml|json] [--out FILE]`;

class UsageError extends Error {
  override readonly name = 'UsageError';
}

try {
  const [command, ...names] = readArguments().positionals;
  if (command === 'import' && names.length > 0) await importFiles(names);
  else if (command === 'export' && names.length === 1) await exportKey(names[0] ?? '');
  else throw new UsageError(usage);
} catch (error) {
  const isUsage = error instanceof UsageError;
  if (!isUsage && !(error instanceof ScenarioFileError) && !(error instanceof NotFoundError)) reportFailure(error);
  else {
    console.error(error.message);
    process.exitCode = isUsage ? 2 : 1;
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        tenant: { type: 'string' },
        project: { type: 'string' },
        format: { type: 'string' },
        out: { type: 'string' },
        'dry-run': { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? `${error.message}\n${usage}` : usage);
  }
}

async function importFiles(names: readonly string[]): Promise<void> {
  const { tenant, 'dry-run': dryRun } = readArguments().values;
  // All are read and checked before any is written.
  const files = await readScenarioFiles(names.map(findFile));
  const groups = Map.groupBy(files, (file) => chooseTenant(file, tenant));
  await using operator = await openOperatorDatabase();
  const host = { ...operator, ...readProviderRules(operator.env) };
  const { httpTools, mcpServers } = await readToolsFile(operator.env.toolsFile);
  const fixedNames = [
    ...builtInTools.map(({ name }) => name),
    ...contributedToolNames,
    ...httpTools.map(({ name }) => name),
  ];
  for (const [tenantId, group] of groups) {
    const reports = await importScenarios(host, tenantId, group, { dryRun });
    for (const report of reports) printReport(tenantId, report, dryRun);
    for (const tool of await findMissingTools(tenantId, operator.db, group, { fixedNames, mcpServers })) {
      console.error(`  warning: there is no tool ${tool} yet; its agents go without it until there is`);
    }
  }
}

function chooseTenant({ path, content }: ScenarioFile, asked: string | undefined): string {
  const { tenant = asked ?? 'default' } = content;
  if (asked === undefined || asked === tenant) return tenant;
  throw new ScenarioFileError(path, [`tenant: it is for ${JSON.stringify(tenant)}, not for ${JSON.stringify(asked)}`]);
}

function printReport(tenantId: string, { file, agents, scenario }: ImportReport, dryRun: boolean): void {
  const { key, projectId } = file.content.scenario;
  const of = projectId === undefined ? '' : ` of the project ${projectId}`;
  console.log(`${file.path}, for the tenant ${tenantId}${dryRun ? ' (dry run: nothing was written)' : ''}`);
  console.log(`  scenario ${key}${of}: ${scenario.change}, version ${scenario.version}`);
  for (const { name, change } of agents) console.log(`  agent ${name}: ${change}`);
}

async function exportKey(key: string): Promise<void> {
  const { tenant = 'default', project = null, format = 'yaml', out } = readArguments().values;
  if (format !== 'yaml' && format !== 'json') throw new UsageError(usage);
  await using operator = await openOperatorDatabase();
  const content = await exportScenario(tenant, operator.db, key, project);
  const text = formatScenarioFile(content, format);
  if (out === undefined) process.stdout.write(text);
  else await writeFile(findFile(out), text);
  for (const { name, isActive = true } of content.agents) {
    if (!isActive)
      console.error(`warning: the agent ${name} is switched off: the file can be imported without that only`);
  }
}

/** npm runs scripts in the folder of the package, wherever it was called. */
function findFile(name: string): string {
  const { npm_lifecycle_event: script, INIT_CWD: calledIn } = process.env;
  return script === 'scenarios' && calledIn !== undefined ? resolve(calledIn, name) : name;
}

/** What the providers of agents are checked against. The demo model has another address at each start. */
function readProviderRules({ openai, model, modelApi: api, modelAllowedHosts, modelsAllowed }: Env): ProviderRules {
  const endpoint = { api, model, apiUrl: openai?.baseUrl ?? 'http://127.0.0.1', apiKey: '' };
  const nothing = { apiUrl: null, completionsPath: null, apiKeyHint: null, contextTokens: null, options: null };
  const config = { provider: openai === null ? 'demo' : 'custom', model, api, ...nothing };
  const defaults = { llm: { endpoint, config }, tts: null, stt: null };
  return {
    defaults,
    guard: new AddressGuard(modelAllowedHosts),
    allowedModels: readAllowedModels(modelsAllowed, defaults),
  };
}
