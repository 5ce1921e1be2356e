import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { mintDevelopmentToken } from '../src/auth/development.ts';

// npm run -s token -- --sub alice --role admin: prints an access token of the development key in DATA_DIR, and that only.

const { values } = parseArgs({
  options: {
    sub: { type: 'string' },
    tenant: { type: 'string', default: 'default' },
    role: { type: 'string', multiple: true, default: [] },
    ttl: { type: 'string', default: '86400' },
  },
});
const ttlSeconds = Number(values.ttl);
if (!values.sub || !Number.isInteger(ttlSeconds) || ttlSeconds < 1) {
  console.error('Usage: npm run -s token -- --sub alice [--role admin]... [--tenant name] [--ttl seconds]');
  process.exit(2);
}
if (existsSync('.env')) process.loadEnvFile();

const dataDir = process.env.DATA_DIR || '.data';
console.log(
  await mintDevelopmentToken(dataDir, { sub: values.sub, tenant: values.tenant, roles: values.role, ttlSeconds }),
);
