import { SignJWT } from 'jose';
import { readKeyFile } from '../config/key-file.ts';
import type { VerifierConfig } from './verify-token.ts';

/** Issuer and audience of development tokens. */
const development = 'switchboard-development';

/** The claims of a development token. */
export interface DevelopmentClaims {
  readonly sub: string;
  readonly tenant: string;
  readonly roles: readonly string[];
  readonly ttlSeconds: number;
}

/**
 * The rules for tokens that {@link mintDevelopmentToken} signs. Never for production: env.ts ensures that.
 * @param dataDir the folder of the signing key, which is created if it does not exist
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

/** Signs an access token with the development key of `dataDir`, creating the key if it does not exist. */
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

function readSigningKey(dataDir: string): Promise<Uint8Array> {
  return readKeyFile(dataDir, 'development.key');
}
