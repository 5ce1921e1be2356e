import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mintDevelopmentToken } from '../src/auth/development.ts';

// npm run -s token -- --sub alice --role admin: prints an access token of the development key in DATA_DIR, and only that.

const help = `Prints an access token for development, signed with the key in DATA_DIR (default .data).
It is valid only for a server that uses the same DATA_DIR and has neither JWT_SECRET nor JWT_JWKS_URL.

Usage: npm run -s token -- --sub alice [options]

  --sub ID         the user: the sub claim, such as alice (required)
  --tenant NAME    the tenant claim (default: default)
  --role NAME      a role, such as admin; repeat the option for several roles
  --ttl SECONDS    how long the token is valid (default: 86400, one day)
  --help           prints this text

Example: curl http://127.0.0.1:4000/graphql -H "authorization: Bearer $(npm run -s token -- --sub alice)" \\
           -H 'content-type: application/json' -d '{"query":"{ viewer { userId } }"}'`;

const { sub, tenant, role, ttl, help: wantsHelp } = readOptions();
if (wantsHelp) {
  console.log(help);
  process.exit(0);
}
const ttlSeconds = Number(ttl);
if (!sub) fail('--sub is missing: it names the user of the token.');
if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) fail('--ttl must be a whole number of seconds, at least 1.');
if (existsSync('.env')) process.loadEnvFile();

const dataDir = process.env.DATA_DIR || '.data';
console.log(await mintDevelopmentToken(dataDir, { sub, tenant, roles: role, ttlSeconds }));

function readOptions() {
  try {
    return parseArgs({
      options: {
        sub: { type: 'string' },
        tenant: { type: 'string', default: 'default' },
        role: { type: 'string', multiple: true, default: [] },
        ttl: { type: 'string', default: '86400' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function fail(problem: string): never {
  console.error(`${problem}\nFor the options: npm run -s token -- --help`);
  process.exit(2);
}
