import { readEnvironmentProviders, syncDevelopmentAgent } from '../src/agents/development.ts';
import { openOperatorDatabase, readArguments, reportFailure } from './operator-database.ts';

// npm run agents:sync [-- --tenant name]: brings the development agents of all tenants, or of one, to what the
// environment has now: OPENAI_*, MODEL, TTS_* and STT_*.

const pageSize = 500;

try {
  const { tenant } = readArguments({ tenant: { type: 'string' } }, 'Usage: npm run -s agents:sync -- [--tenant NAME]');
  await using operator = await openOperatorDatabase();
  const providers = readEnvironmentProviders(operator.env);
  const counts = { made: 0, updated: 0 };
  for await (const tenantId of listTenants()) counts[await syncDevelopmentAgent(operator, tenantId, providers)] += 1;
  console.log(`Development agents: ${counts.updated} updated, ${counts.made} made.`);
  if (tenant !== undefined && counts.made + counts.updated === 0) {
    console.error(`There is no tenant ${JSON.stringify(tenant)}: a tenant appears when its first user does.`);
    process.exitCode = 1;
  }

  async function* listTenants(): AsyncGenerator<string> {
    for (let after = ''; ; ) {
      const rows = await operator.db.tenant.findMany({
        where: { id: tenant === undefined ? { gt: after } : { equals: tenant, gt: after } },
        orderBy: { id: 'asc' },
        take: pageSize,
        select: { id: true },
      });
      for (const { id } of rows) yield id;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.id;
    }
  }
} catch (error) {
  reportFailure(error);
}
