import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { z } from 'zod';
import type { VerifierConfig } from './verify-token.ts';

/** Issuer and audience of development tokens. */
const development = 'switchboard-development';
const keyBytes = 32;
const codeOf = z.object({ code: z.string() });

/** Who a development token speaks for, and for how long. */
export interface DevelopmentClaims {
  readonly sub: string;
  readonly tenant: string;
  readonly roles: readonly string[];
  readonly ttlSeconds: number;
}

/**
 * The rules for tokens that {@link mintDevelopmentToken} signs. Never for production: env.ts sees to that.
 * @param dataDir where the signing key is; it is made when there is none
 */
export async function readDevelopmentRules(dataDir: string): Promise<VerifierConfig> {
  return {
    key: { kind: 'secret', secret: await readSigningKey(dataDir) },
    issuer: development,
    audience: development,
    tenantClaim: 'tenant',
    rolesClaim: 'roles',
  };
}

/** Signs an access token with the development key of `dataDir`, making the key when there is none. */
export async function mintDevelopmentToken(dataDir: string, claims: DevelopmentClaims): Promise<string> {
  return new SignJWT({ tenant: claims.tenant, roles: [...claims.roles] })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(claims.sub)
    .setIssuer(development)
    .setAudience(development)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + claims.ttlSeconds)
    .sign(await readSigningKey(dataDir));
}

async function readSigningKey(dataDir: string): Promise<Uint8Array> {
  const path = join(dataDir, 'development.key');
  const written = await readFileIfAny(path);
  const text = written ?? (await makeSigningKey(dataDir, path));
  const key = Buffer.from(text.trim(), 'base64url');
  if (key.length !== keyBytes) throw new Error(`${path} holds no signing key: delete it, and a new one is made.`);
  return key;
}

/** A link appears whole or not at all, so of two processes that make a key at once, both end up with the same one. */
async function makeSigningKey(dataDir: string, path: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, randomBytes(keyBytes).toString('base64url'), { mode: 0o600, flag: 'wx' });
  try {
    await link(draft, path);
  } catch (error) {
    if (codeOf.safeParse(error).data?.code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return readFile(path, 'utf8');
}

async function readFileIfAny(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf.safeParse(error).data?.code === 'ENOENT') return null;
    throw error;
  }
}
