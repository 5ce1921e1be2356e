import { rotateSecrets } from '../src/secrets/rotate.ts';
import { openOperatorDatabase, readArguments, reportFailure } from './operator-database.ts';

// npm run keys:rotate: encrypts every stored key with the first key of ENCRYPTION_KEYS, while servers run, and tries all.

const reportedEvery = 1_000;

try {
  readArguments({}, 'Usage: npm run -s keys:rotate');
  await using operator = await openOperatorDatabase();
  let reported = 0;
  const { rotated, overtaken, unreadable } = await rotateSecrets(operator.db, operator.keys, (count) => {
    if (count - reported < reportedEvery) return;
    reported = count;
    console.log(`${count} rotated so far`);
  });
  console.log(`${rotated} rotated to the key ${JSON.stringify(operator.keys.currentKid)}.`);
  if (overtaken > 0)
    console.log(`${overtaken} were changed by somebody else at the same moment, and are as they left them.`);
  if (unreadable.length > 0) {
    const named = unreadable.slice(0, 10).join(', ');
    console.error(`${unreadable.length} cannot be opened with any key of ENCRYPTION_KEYS, e.g. the secrets ${named}`);
    console.error(
      'They stay as they are: give the key that they were encrypted with, under its own name, or give their owners new ones.',
    );
    process.exitCode = 1;
  }
} catch (error) {
  reportFailure(error);
}
