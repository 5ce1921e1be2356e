import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { UnauthenticatedError } from '../../src/api/errors.ts';
import { readBearerToken } from '../../src/auth/bearer.ts';
import { mintDevelopmentToken, readDevelopmentRules } from '../../src/auth/development.ts';
import { rememberTokens } from '../../src/auth/remember-tokens.ts';
import { createTokenVerifier, TokenExpiredError, type VerifierConfig } from '../../src/auth/verify-token.ts';

const secret = new TextEncoder().encode('a secret of at least thirty-two bytes');
const claims = { issuer: 'https://issuer.test', audience: 'switchboard', tenantClaim: 'tenant', rolesClaim: 'roles' };
const config: VerifierConfig = { key: { kind: 'secret', secret }, ...claims };
const verify = createTokenVerifier(config);
const good = { iss: claims.issuer, aud: claims.audience, sub: 'alice', tenant: 'acme', roles: ['admin'] };
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

function sign(payload: JWTPayload, key = secret): Promise<string> {
  return new SignJWT({ exp: inAnHour(), ...payload }).setProtectedHeader({ alg: 'HS256' }).sign(key);
}

describe('an access token', () => {
  test('An access token says who the viewer is', async () => {
    const exp = inAnHour();
    expect(await verify(await sign({ ...good, exp }))).toEqual({
      userId: 'alice',
      tenantId: 'acme',
      roles: ['admin'],
      expiresAt: exp * 1000,
    });
  });

  test.each([
    { what: 'one role as text', roles: 'admin', read: ['admin'] },
    { what: 'no roles', roles: undefined, read: [] },
    { what: 'several roles', roles: ['a', 'b'], read: ['a', 'b'] },
  ])('An access token may carry $what', async ({ roles, read }) => {
    expect((await verify(await sign({ ...good, roles }))).roles).toEqual(read);
  });

  test('An access token has its claims under the names that the operator set, which are plain keys', async () => {
    const named = createTokenVerifier({ ...config, tenantClaim: 'https://x.test/tenant', rolesClaim: 'realm.roles' });
    const { tenant: _tenant, roles: _roles, ...rest } = good;
    const token = await sign({ ...rest, 'https://x.test/tenant': 'acme', 'realm.roles': ['r'] });
    expect(await named(token)).toMatchObject({ tenantId: 'acme', roles: ['r'] });
  });

  test.each([
    { claim: 'realm_access.roles', payload: { realm_access: { roles: ['r', 's'] } }, read: ['r', 's'] },
    { claim: 'https://x.test/roles', payload: { 'https://x.test/roles': ['r'] }, read: ['r'] },
    { claim: 'scope', payload: { scope: 'read  write' }, read: ['read', 'write'] },
    { claim: 'a.b.c', payload: { a: { b: { c: 'r' } } }, read: ['r'] },
    { claim: 'a.b', payload: { a: { b: ['nested'] }, 'a.b': ['plain'] }, read: ['plain'] },
    { claim: 'a.constructor.name', payload: { a: {} }, read: [] },
    { claim: 'a.b', payload: { a: 'text' }, read: [] },
  ])('An access token has its roles at $claim: $read', async ({ claim, payload, read }) => {
    const { roles: _roles, ...rest } = good;
    const verifyNamed = createTokenVerifier({ ...config, rolesClaim: claim });
    expect((await verifyNamed(await sign({ ...rest, ...payload }))).roles).toEqual(read);
  });

  test.each([
    { what: 'an ID token by its type', typ: 'id+jwt', more: {} },
    { what: 'a logout token', typ: 'logout+jwt', more: {} },
    { what: 'an ID token of Keycloak', typ: 'JWT', more: { typ: 'ID' } },
    { what: 'a refresh token of Keycloak', typ: 'JWT', more: { typ: 'Refresh' } },
    { what: 'an ID token of Cognito', typ: 'JWT', more: { token_use: 'id' } },
    { what: 'an ID token with a hash', typ: 'JWT', more: { at_hash: 'x' } },
  ])('A token that is $what is refused', async ({ typ, more }) => {
    const token = await new SignJWT({ ...good, ...more, exp: inAnHour() })
      .setProtectedHeader({ alg: 'HS256', typ })
      .sign(secret);
    await expect(verify(token)).rejects.toThrow('not an access token');
  });

  test.each(['JWT', 'at+jwt', 'application/at+jwt', 'AT+JWT'])('An access token may be of type %s', async (typ) => {
    const token = await new SignJWT({ ...good, typ: 'Bearer', exp: inAnHour() })
      .setProtectedHeader({ alg: 'HS256', typ })
      .sign(secret);
    expect(await verify(token)).toMatchObject({ userId: 'alice' });
  });

  test('An access token is accepted within five seconds of its end, as clocks differ', async () => {
    await expect(verify(await sign({ ...good, exp: Math.floor(Date.now() / 1000) - 2 }))).resolves.toBeDefined();
  });

  const refusals: { what: string; token: () => Promise<string> | string; says: string }[] = [
    { what: 'nothing', token: () => '', says: 'malformed' },
    { what: 'garbage', token: () => 'xx.yy.zz', says: 'malformed' },
    { what: 'two parts', token: async () => (await sign(good)).split('.').slice(0, 2).join('.'), says: 'malformed' },
    { what: 'an array for a header', token: () => `${btoa('[]')}.${btoa('{}')}.x`, says: 'malformed' },
    { what: 'another secret', token: () => sign(good, new Uint8Array(32)), says: 'signature' },
    {
      what: 'a changed payload',
      token: async () => {
        const [header, , signature] = (await sign(good)).split('.');
        return [header, btoa(JSON.stringify({ ...good, sub: 'bob', exp: inAnHour() })), signature].join('.');
      },
      says: 'signature',
    },
    { what: 'alg none', token: () => new UnsecuredJWT({ ...good, exp: inAnHour() }).encode(), says: 'algorithm' },
    {
      what: 'HS512 where HS256 is pinned',
      token: () =>
        new SignJWT({ ...good, exp: inAnHour() }).setProtectedHeader({ alg: 'HS512' }).sign(new Uint8Array(64)),
      says: 'algorithm',
    },
    { what: 'another issuer', token: () => sign({ ...good, iss: 'https://other.test' }), says: 'issuer' },
    { what: 'another audience', token: () => sign({ ...good, aud: 'other' }), says: 'audience' },
    { what: 'a start in the future', token: () => sign({ ...good, nbf: inAnHour() }), says: 'not valid yet' },
    ...(['exp', 'sub', 'iss', 'aud', 'tenant'] as const).map((name) => ({
      what: `no ${name}`,
      token: () => {
        const { [name]: _left, ...rest } = { ...good, exp: inAnHour() };
        return new SignJWT(rest).setProtectedHeader({ alg: 'HS256' }).sign(secret);
      },
      says: name,
    })),
    { what: 'an empty sub', token: () => sign({ ...good, sub: '' }), says: 'sub claim' },
    { what: 'a sub of 256 characters', token: () => sign({ ...good, sub: 'x'.repeat(256) }), says: 'sub claim' },
    { what: 'a control character', token: () => sign({ ...good, sub: 'a\u0000b' }), says: 'sub claim' },
    { what: 'half a surrogate pair', token: () => sign({ ...good, tenant: 'a\ud800' }), says: 'tenant claim' },
    { what: 'a tenant that is a number', token: () => sign({ ...good, tenant: 7 }), says: 'tenant claim' },
    { what: 'a role that is a number', token: () => sign({ ...good, roles: ['a', 7] }), says: 'roles claim' },
    { what: 'over 8192 bytes', token: () => sign({ ...good, more: 'x'.repeat(8192) }), says: '8192 bytes' },
  ];
  test.each(refusals)('An access token is refused with $what', async ({ token, says }) => {
    const given = await token();
    const refusal = await verify(given).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(UnauthenticatedError);
    const { message } = z.object({ message: z.string() }).parse(refusal);
    expect(message).toContain(says);
    for (const part of given.split('.').filter((text) => text.length > 3)) expect(message).not.toContain(part);
  });

  test('An access token that has expired has an error of its own, so that clients fetch another', async () => {
    const token = await sign({ ...good, exp: Math.floor(Date.now() / 1000) - 60 });
    await expect(verify(token)).rejects.toThrow(TokenExpiredError);
  });
});

describe('keys at a URL', () => {
  test.each(['RS256', 'ES256', 'EdDSA'])('Keys at a URL verify %s', async (alg) => {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    await using issuer = await publishKeys([{ ...(await exportJWK(publicKey)), kid: 'one' }]);
    const token = await new SignJWT({ ...good, exp: inAnHour() })
      .setProtectedHeader({ alg, kid: 'one' })
      .sign(privateKey);
    expect(await issuer.verify(token)).toMatchObject({ userId: 'alice' });
    expect(await issuer.verify(token)).toMatchObject({ userId: 'alice' });
    expect(issuer.downloads()).toBe(1);
  });

  test('O3 Keys at a URL may lack alg, and a token may lack kid: then each key of its type is tried', async () => {
    const pairs = await Promise.all(['RS256', 'RS256', 'ES256'].map((alg) => generateKeyPair(alg)));
    const keys = await Promise.all(pairs.map(async ({ publicKey }) => exportJWK(publicKey)));
    expect(keys.some((key) => 'alg' in key || 'kid' in key)).toBe(false);
    await using issuer = await publishKeys(keys);
    const signWith = (alg: string, key: CryptoKey) =>
      new SignJWT({ ...good, exp: inAnHour() }).setProtectedHeader({ alg }).sign(key);
    for (const [index, { privateKey }] of pairs.entries()) {
      const token = await signWith(index === 2 ? 'ES256' : 'RS256', privateKey);
      expect(await issuer.verify(token)).toMatchObject({ userId: 'alice' });
    }
    const { privateKey: stranger } = await generateKeyPair('RS256');
    await expect(issuer.verify(await signWith('RS256', stranger))).rejects.toThrow('signature');
  });

  test('Keys at a URL are no secret: a token signed with the public key by HS256 is refused', async () => {
    const { publicKey } = await generateKeyPair('RS256', { extractable: true });
    await using issuer = await publishKeys([{ ...(await exportJWK(publicKey)), kid: 'one' }]);
    const token = await new SignJWT({ ...good, exp: inAnHour() })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(new TextEncoder().encode(await exportSPKI(publicKey)));
    await expect(issuer.verify(token)).rejects.toThrow('algorithm that is not accepted');
  });

  test('Keys at a URL rotate: a new key id fetches them again, and the old key is no longer accepted', async () => {
    const [first, second] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
    await using issuer = await publishKeys([{ ...(await exportJWK(first.publicKey)), kid: 'one' }]);
    const signWith = (key: CryptoKey, kid: string) =>
      new SignJWT({ ...good, exp: inAnHour() }).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
    await issuer.verify(await signWith(first.privateKey, 'one'));

    issuer.publish([{ ...(await exportJWK(second.publicKey)), kid: 'two' }]);
    await expect(issuer.verify(await signWith(second.privateKey, 'two'))).resolves.toMatchObject({ userId: 'alice' });
    await expect(issuer.verify(await signWith(first.privateKey, 'one'))).rejects.toThrow('signature');
  });

  test('Keys at a URL that are unreachable are not the token’s fault', async () => {
    await using issuer = await publishKeys(null);
    const { privateKey } = await generateKeyPair('ES256');
    const token = await new SignJWT({ ...good, exp: inAnHour() })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(privateKey);
    await expect(issuer.verify(token)).rejects.toThrow('cannot be verified at the moment');
  });
});

describe('development tokens', () => {
  test('Development tokens are signed with one key, however many ask for it at the same time, and only its owner reads it', async () => {
    await using folder = await makeFolder();
    const who = { sub: 'alice', tenant: 'default', roles: ['admin'], ttlSeconds: 60 };
    const tokens = await Promise.all(Array.from({ length: 8 }, () => mintDevelopmentToken(folder.path, who)));
    const check = createTokenVerifier(await readDevelopmentRules(folder.path));
    for (const token of tokens) expect(await check(token)).toMatchObject({ userId: 'alice', roles: ['admin'] });
    expect((await stat(join(folder.path, 'development.key'))).mode & 0o777).toBe(0o600);
  });

  test('Development tokens of another data folder are refused', async () => {
    await using mine = await makeFolder();
    await using other = await makeFolder();
    const token = await mintDevelopmentToken(other.path, { sub: 'a', tenant: 'b', roles: [], ttlSeconds: 60 });
    await expect(createTokenVerifier(await readDevelopmentRules(mine.path))(token)).rejects.toThrow('signature');
  });
});

describe('tokens that were verified before', () => {
  test('A token that was verified before is not verified again while it is valid, and then refused as expired', async () => {
    let now = Date.now();
    let verified = 0;
    const remembered = rememberTokens(
      async (token) => {
        verified += 1;
        return verify(token);
      },
      () => now,
    );
    const exp = Math.floor(now / 1000) + 30;
    const token = await sign({ ...good, exp });
    for (let time = 0; time < 3; time++) expect(await remembered(token)).toMatchObject({ userId: 'alice' });
    expect(verified).toBe(1);
    now = exp * 1000;
    await remembered(token);
    expect(verified).toBe(2);
  });

  test('A token is verified again after a minute, so that a key that was withdrawn is noticed', async () => {
    let now = Date.now();
    let key = secret;
    const remembered = rememberTokens(
      (token) => createTokenVerifier({ ...config, key: { kind: 'secret', secret: key } })(token),
      () => now,
    );
    const token = await sign(good);
    await remembered(token);
    key = new TextEncoder().encode('another secret of at least thirty-two bytes');
    await remembered(token);
    now += 60_001;
    await expect(remembered(token)).rejects.toThrow('signature');
  });

  test('A token that was refused is verified again each time, and one of another user is never mistaken for it', async () => {
    let verified = 0;
    const remembered = rememberTokens(async (token) => {
      verified += 1;
      return verify(token);
    });
    const token = await sign(good);
    for (let time = 0; time < 2; time++) await expect(remembered(`${token}x`)).rejects.toThrow(UnauthenticatedError);
    expect(verified).toBe(2);
    expect(await remembered(token)).toMatchObject({ userId: 'alice' });
    expect(await remembered(await sign({ ...good, sub: 'bob' }))).toMatchObject({ userId: 'bob' });
  });
});

describe('the Authorization header', () => {
  test.each([
    { header: 'Bearer abc', token: 'abc' },
    { header: 'bearer  abc', token: 'abc' },
    { header: '', token: null },
    { header: null, token: null },
  ])('The Authorization header $header carries $token', ({ header, token }) =>
    expect(readBearerToken(header)).toBe(token),
  );

  test.each(['Basic abc', 'Bearer', 'Bearer a b', 'abc'])('The Authorization header is refused: %s', (header) => {
    expect(() => readBearerToken(header)).toThrow(UnauthenticatedError);
  });

  test('A token may be without its scheme in connection parameters', () =>
    expect(readBearerToken('abc', 'bare')).toBe('abc'));
});

/** Serves keys as an issuer does; null: it answers 503. */
async function publishKeys(keys: JWK[] | null) {
  let published = keys;
  let downloads = 0;
  const server = createServer((_request, response) => {
    downloads += 1;
    response.writeHead(published ? 200 : 503, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ keys: published ?? [] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return {
    verify: createTokenVerifier({
      ...claims,
      key: { kind: 'jwks', url: `http://127.0.0.1:${port}/keys`, cooldownMs: 0 },
    }),
    publish: (next: JWK[]) => {
      published = next;
    },
    downloads: () => downloads,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), 'switchboard-auth-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
