import { openaiUrl } from './variables.ts';

/**
 * What is wrong between variables, and what is missing: a sentence for each.
 * @param given the variables that are set, as they were written
 */
export function findContradictions(given: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  const missing = (name: string, why: string) => {
    if (given[name] === undefined) problems.push(`${name} is missing: ${why}`);
  };
  const production = given.NODE_ENV === 'production';
  const verified = given.JWT_SECRET !== undefined || given.JWT_JWKS_URL !== undefined;
  if (given.JWT_SECRET !== undefined && given.JWT_JWKS_URL !== undefined) {
    problems.push('JWT_SECRET and JWT_JWKS_URL are both given: choose one');
  }
  if (production) {
    missing('DATABASE_URL', 'production needs a PostgreSQL server');
    missing('ENCRYPTION_KEYS', 'production needs keys to encrypt provider keys with');
    missing('ALLOWED_ORIGINS', 'production needs the origins of its front ends');
    if (!verified) problems.push('JWT_SECRET or JWT_JWKS_URL is missing: production verifies access tokens');
  }
  if (given.DATABASE_DIRECT_URL !== undefined) {
    missing('DATABASE_URL', 'DATABASE_DIRECT_URL means nothing without one');
  }
  if (production && given.JWT_JWKS_URL?.startsWith('http:')) {
    problems.push('JWT_JWKS_URL must be an https:// URL: anyone on the way could replace the keys');
  }
  if (production || verified) {
    missing('JWT_ISSUER', 'tokens are checked for their issuer');
    missing('JWT_AUDIENCE', 'tokens are checked for their audience');
  } else if (given.JWT_ISSUER !== undefined || given.JWT_AUDIENCE !== undefined) {
    problems.push('JWT_SECRET or JWT_JWKS_URL is missing: JWT_ISSUER and JWT_AUDIENCE mean nothing without one');
  }
  if (given.TRUSTED_DOCUMENTS_ONLY === 'true') {
    missing('TRUSTED_DOCUMENTS', 'without documents, TRUSTED_DOCUMENTS_ONLY would refuse every operation');
  }
  const baseUrl = given.OPENAI_BASE_URL;
  if (baseUrl !== undefined && baseUrl !== openaiUrl) missing('MODEL', 'the models of OPENAI_BASE_URL are not known');
  return problems;
}
