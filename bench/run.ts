import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { openHarness, type Scenario } from './harness.ts';
import { measureAgents } from './scenarios/agents.ts';
import { measureFirehose } from './scenarios/firehose.ts';
import { measureFirstToken } from './scenarios/first-token.ts';
import { measureFlood } from './scenarios/flood.ts';
import { measureGuardrails } from './scenarios/guardrails.ts';
import { measureIndexing } from './scenarios/indexing.ts';
import { measureKnowledge } from './scenarios/knowledge.ts';
import { measureList } from './scenarios/list.ts';
import { measureOrchestration } from './scenarios/orchestration.ts';
import { measurePaced } from './scenarios/paced.ts';
import { measureReads } from './scenarios/reads.ts';
import { measureResolution } from './scenarios/resolution.ts';
import { measureSharedLog } from './scenarios/shared-log.ts';
import { measureStart } from './scenarios/start.ts';
import { measureStatements } from './scenarios/statements.ts';
import { measureSteps } from './scenarios/steps.ts';
import { measureTurns } from './scenarios/turns.ts';
import { writeTable } from './statistics.ts';

// npm run bench -- [--only paced,list] [--quick | --short] [--profile folder] [--set NAME=value]...
// --short: turns and reads once, with one database, in less than two minutes: for the figures to be seen.
// --set goes into the environment of Switchboard.
// With DATABASE_URL of a PostgreSQL server on which databases may be created, that is measured as well.

const scenarios: Readonly<Record<string, Scenario>> = {
  turns: measureTurns,
  reads: measureReads,
  paced: measurePaced,
  firehose: measureFirehose,
  'first-token': measureFirstToken,
  flood: measureFlood,
  list: measureList,
  start: measureStart,
  statements: measureStatements,
  steps: measureSteps,
  agents: measureAgents,
  resolution: measureResolution,
  orchestration: measureOrchestration,
  guardrails: measureGuardrails,
  indexing: measureIndexing,
  knowledge: measureKnowledge,
  // With REDIS_URL only.
  ...(process.env.REDIS_URL ? { 'shared-log': measureSharedLog } : {}),
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    profile: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
  },
});
const chosen = values.only?.split(',') ?? (values.short ? ['turns', 'reads'] : Object.keys(scenarios));
const unknown = chosen.filter((name) => !(name in scenarios));
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}. There are: ${Object.keys(scenarios).join(', ')}.`);
  process.exit(2);
}

console.log(`Node ${process.version}, ${cpus().length} cores, ${process.platform}-${process.arch}`);
await using harness = await openHarness({
  quick: values.quick || values.short,
  oneDatabase: values.short,
  databaseUrl: process.env.DATABASE_URL || null,
  profileDir: values.profile ?? null,
  settings: Object.fromEntries(values.set.map((setting) => setting.split(/=(.*)/s, 2))),
});
for (const [name, measure] of Object.entries(scenarios)) {
  if (!chosen.includes(name)) continue;
  try {
    const { title, columns, rows, notes } = await measure(harness);
    console.log(`\n${title}\n\n${writeTable(columns, rows)}\n\n${notes.join('\n')}`);
  } catch (error) {
    console.error(`\n${name} FAILED:`, error);
    process.exitCode = 1;
  }
}
