import { deleteStreams } from '../src/log/redis/delete-streams.ts';
import { countUserRows, eraseUser, listStreamedRuns } from '../src/retention/erase-user.ts';
import { openOperatorDatabase, readArguments, reportFailure } from './operator-database.ts';

// npm run users:erase: deletes all that is kept of a user. Without --yes it only says what that is.

const usage = `Usage: npm run -s users:erase -- --tenant <id> --user <id> [--yes]

  --tenant  the tenant claim of the user's access tokens
  --user    the sub claim
  --yes     delete; without it, nothing is changed`;

try {
  const options = { tenant: { type: 'string' }, user: { type: 'string' }, yes: { type: 'boolean' } } as const;
  const { tenant: tenantId, user: userId, yes } = readArguments(options, usage);
  if (!tenantId || !userId) {
    console.error(usage);
    process.exitCode = 1;
  } else {
    await using operator = await openOperatorDatabase();
    const user = { tenantId, userId };
    const found = await countUserRows(operator.db, user);
    if (found.length === 0) console.log(`Nothing is kept of the user ${userId} of the tenant ${tenantId}.`);
    for (const { table, rows } of found) console.log(`${String(rows).padStart(10)} ${table}`);
    if (found.length > 0 && !yes)
      console.log('Nothing was changed. With --yes, these rows and all below them are deleted.');
    if (found.length > 0 && yes) {
      const runIds = await listStreamedRuns(operator.db, user);
      await eraseUser(operator.db, user, (count) => console.log(`${count} conversations deleted so far`));
      const { redisUrl, redisPrefix } = operator.env;
      if (redisUrl !== null)
        await deleteStreams(redisUrl, redisPrefix, runIds).catch((error: unknown) => {
          console.error(`Redis cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
          console.error('What it holds of turns of the last hour expires within an hour.');
        });
      const left = await countUserRows(operator.db, user);
      if (left.length === 0) console.log(`Everything that was kept of the user ${userId} was deleted.`);
      else {
        // The user has sent something meanwhile.
        console.error('Something was added meanwhile: revoke the access tokens of the user, then run this again.');
        process.exitCode = 1;
      }
    }
  }
} catch (error) {
  reportFailure(error);
}
