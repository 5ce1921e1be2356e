import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyResult, jwtVerify } from 'jose';
import { z } from 'zod';
import { UnauthenticatedError } from '../api/errors.ts';
import { isRecord } from '../engine/json.ts';
import type { Viewer } from './viewer.ts';

/** How access tokens are verified. */
export interface VerifierConfig {
  /** An HS256 secret, or the URL of the issuer's public keys. Never both: the kind decides which algorithms are accepted. */
  readonly key:
    | { readonly kind: 'secret'; readonly secret: Uint8Array }
    | { readonly kind: 'jwks'; readonly url: string; readonly cooldownMs?: number };
  readonly issuer: string;
  readonly audience: string;
  /** A name of a claim, which may be a URL, or a path to a nested one, such as `realm_access.roles`. */
  readonly tenantClaim: string;
  readonly rolesClaim: string;
}

/** Verifies an access token and returns its viewer. */
export type VerifyToken = (token: string) => Promise<Viewer>;

/** The token was valid and has expired: a client should get a new one and try again. */
export class TokenExpiredError extends UnauthenticatedError {
  constructor() {
    super('The access token has expired.');
  }
}

/** Longer tokens are refused before they are parsed. */
const maxTokenBytes = 8192;
const clockToleranceSeconds = 5;
/** How many keys are tried for a token that names none. */
const maxKeysTried = 10;
/** What the id of a user, of a tenant and a role may be. */
export const claimPattern = /^\P{Cc}{1,255}$/u;
const identifier = z.string().refine((value) => value.isWellFormed() && claimPattern.test(value));
const maxRoles = 100;
/** A list, or a string of roles with spaces between them. */
const roleList = z
  .union([identifier.transform((roles) => roles.split(' ').filter((role) => role !== '')), z.array(identifier)])
  .refine((roles) => roles.length <= maxRoles)
  .optional();
const secretAlgorithms = ['HS256'];
const publicKeyAlgorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519'],
];
const lifetime = z.number().finite();

/**
 * Creates a verifier of access tokens (JWT, RFC 7519). Issuer, audience, exp and sub are required; clocks may differ by
 * 5 seconds. Keys of a JWKS URL are cached for ten minutes; an unknown key id fetches them again, at most every 30
 * seconds.
 *
 * The verifier throws {@link UnauthenticatedError}, {@link TokenExpiredError} when the token has expired and {@link KeysUnreachableError} when the keys cannot be fetched.
 */
export function createTokenVerifier(config: VerifierConfig): VerifyToken {
  const options = {
    issuer: config.issuer,
    audience: config.audience,
    requiredClaims: ['exp', 'sub'],
    clockTolerance: clockToleranceSeconds,
  };
  const verify = createSignatureVerifier(config.key, options);
  return async (token) => {
    if (Buffer.byteLength(token) > maxTokenBytes) {
      throw new UnauthenticatedError(`The access token is longer than ${maxTokenBytes} bytes.`);
    }
    let verified: JWTVerifyResult;
    try {
      verified = await verify(token);
    } catch (error) {
      throw explainRefusal(error);
    }
    assertAccessToken(verified);
    const { payload } = verified;
    return {
      userId: readClaim(payload, 'sub', identifier),
      tenantId: readClaim(payload, config.tenantClaim, identifier),
      roles: readClaim(payload, config.rolesClaim, roleList) ?? [],
      expiresAt: readClaim(payload, 'exp', lifetime) * 1000,
    };
  };
}

type VerifyOptions = { issuer: string; audience: string; requiredClaims: string[]; clockTolerance: number };

function createSignatureVerifier(
  key: VerifierConfig['key'],
  options: VerifyOptions,
): (token: string) => Promise<JWTVerifyResult> {
  if (key.kind === 'secret') {
    return (token) => jwtVerify(token, key.secret, { ...options, algorithms: secretAlgorithms });
  }
  const keys = createRemoteJWKSet(new URL(key.url), {
    cacheMaxAge: 600_000,
    cooldownDuration: key.cooldownMs ?? 30_000,
    timeoutDuration: 5_000,
  });
  const rules = { ...options, algorithms: publicKeyAlgorithms };
  return async (token) => {
    try {
      return await jwtVerify(token, keys, rules);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      return verifyWithAny(token, error, rules);
    }
  };
}

/** Some issuers publish several keys of one type and name none in the token (kid): then each is tried. */
async function verifyWithAny(
  token: string,
  candidates: errors.JWKSMultipleMatchingKeys,
  rules: VerifyOptions & { algorithms: string[] },
): Promise<JWTVerifyResult> {
  let tried = 0;
  for await (const key of candidates) {
    tried += 1;
    if (tried > maxKeysTried) break;
    try {
      return await jwtVerify(token, key, rules);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/**
 * Checks that a token is an access token. Issuers sign ID tokens with the same keys, and mark them in different ways: by
 * the type in the header (RFC 9068), by a claim (Keycloak, Amazon Cognito), or by hashes that only ID tokens have.
 * @throws {UnauthenticatedError} when it is another kind of token
 */
function assertAccessToken({ protectedHeader, payload }: JWTVerifyResult): void {
  const { typ } = protectedHeader;
  const type =
    typ === undefined
      ? undefined
      : String(typ)
          .toLowerCase()
          .replace(/^application\//, '');
  const isOther =
    (type !== undefined && type !== 'jwt' && type !== 'at+jwt') ||
    ['ID', 'Refresh', 'Offline', 'Logout'].includes(String(payload.typ)) ||
    payload.token_use === 'id' ||
    payload.at_hash !== undefined ||
    payload.c_hash !== undefined;
  if (isOther)
    throw new UnauthenticatedError('The token is not an access token. Send the access token, not the ID token.');
}

function readClaim<T>(payload: JWTPayload, name: string, schema: z.ZodType<T>): T {
  const value = findClaim(payload, name);
  const claim = schema.safeParse(value);
  if (claim.success) return claim.data;
  throw new UnauthenticatedError(
    value !== undefined
      ? `The ${name} claim of the access token must be 1 to 255 characters without control characters.`
      : `The access token has no ${name} claim.`,
  );
}

/** The claim of this very name, or else the one at this path. */
function findClaim(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const key of name.split('.')) {
    value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** The token may be valid: the keys to verify it cannot be fetched at the moment. Worth another try. */
export class KeysUnreachableError extends UnauthenticatedError {
  constructor() {
    super(
      'The access token cannot be verified at the moment: the keys of its issuer are unreachable. Try again later.',
    );
  }
}

/** Says what is wrong with a token without repeating any of it. */
function explainRefusal(error: unknown): UnauthenticatedError {
  if (error instanceof errors.JWTExpired) return new TokenExpiredError();
  if (error instanceof errors.JWTClaimValidationFailed) return new UnauthenticatedError(explainClaim(error));
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey) {
    return new UnauthenticatedError('The signature of the access token does not match.');
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return new UnauthenticatedError('The access token does not say which key signed it (kid).');
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return new UnauthenticatedError('The access token is signed with an algorithm that is not accepted here.');
  }
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || !isAboutToken(error)) {
    return new KeysUnreachableError();
  }
  return new UnauthenticatedError('The access token is malformed.');
}

/** Whether an error is about the token: jose throws its own errors then, and a plain one if the keys cannot be fetched. */
function isAboutToken(error: unknown): boolean {
  if (error instanceof errors.JOSEError) return error.code !== 'ERR_JOSE_GENERIC';
  // A token with values of wrong types, such as an array as its header, may cause a TypeError.
  return error instanceof TypeError && error.cause === undefined && error.message !== 'fetch failed';
}

function explainClaim(error: errors.JWTClaimValidationFailed): string {
  if (error.reason === 'missing') return `The access token has no ${error.claim} claim.`;
  switch (error.claim) {
    case 'aud':
      return 'The access token is meant for another audience.';
    case 'iss':
      return 'The access token is from another issuer.';
    case 'nbf':
      return 'The access token is not valid yet.';
    default:
      return `The ${error.claim} claim of the access token is not valid.`;
  }
}
