import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KeyRing, parseKeyRing, SecretUnreadableError } from '../../src/secrets/key-ring.ts';
import { openKeyRing } from '../../src/secrets/open-key-ring.ts';
import { suggestFix } from '../../src/secrets/stored-secrets.ts';

const secret = 'sk-0123456789-abcdefghij';
const binding = { owner: `agent:${randomUUID()}`, name: 'llm', origin: 'https://api.example.com' };
const ringOf = (...kids: string[]) => new KeyRing(new Map(kids.map((kid) => [kid, Buffer.alloc(32, kid)])));

test('A secret that is sealed opens with its binding, and looks different each time', async () => {
  const ring = ringOf('a');
  const [one, two] = [await ring.seal(secret, binding), await ring.seal(secret, binding)];
  expect(one).toMatchObject({ kid: 'a', sealed: expect.stringMatching(/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/) });
  expect(one.sealed).not.toBe(two.sealed);
  for (const { sealed } of [one, two]) expect(await ring.open(sealed, binding)).toBe(secret);
  for (const text of ['', 'ü 🎈 \n', 'x'.repeat(4_096)]) {
    expect(await ring.open((await ring.seal(text, binding)).sealed, binding)).toBe(text);
  }
});

test('A secret opens for no other binding, with no other key, and not if it was changed', async () => {
  const ring = ringOf('a');
  const { sealed } = await ring.seal(secret, binding);
  const refused = async (text: string, other = binding, keys = ring) => {
    const error = await keys.open(text, other).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SecretUnreadableError);
    expect(String(error)).not.toContain(secret);
  };
  await refused(sealed, { ...binding, owner: `agent:${randomUUID()}` });
  await refused(sealed, { ...binding, name: 'tts' });
  await refused(sealed, { ...binding, origin: 'http://api.example.com' });
  await refused(sealed, { ...binding, origin: 'https://api.example.com:8443' });
  await refused(sealed, binding, ringOf('b'));
  await refused(sealed, binding, new KeyRing(new Map([['a', randomBytes(32)]])));

  const parts = sealed.split('.');
  for (const [index, part] of parts.entries()) {
    if (part === '') continue;
    const flipped = `${part.slice(0, -2)}${part.at(-2) === 'A' ? 'B' : 'A'}${part.at(-1)}`;
    await refused(parts.with(index, flipped).join('.'));
  }
  // The binding is in the header, which is signed with the rest: writing another one into it does not help.
  const header = { ...JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString()), for: '["x","llm","y"]' };
  const forged = parts.with(0, Buffer.from(JSON.stringify(header)).toString('base64url')).join('.');
  await refused(forged, { owner: 'x', name: 'llm', origin: 'y' });
  for (const garbage of ['', 'a.b.c.d.e', secret, 'eyJhbGciOiJub25lIn0..a.b.c']) await refused(garbage);
});

test('The first key of a ring seals, and every key opens', async () => {
  const old = await ringOf('old').seal(secret, binding);
  const ring = ringOf('new', 'old');
  expect(ring.currentKid).toBe('new');
  expect(await ring.open(old.sealed, binding)).toBe(secret);
  expect((await ring.seal(secret, binding)).kid).toBe('new');
});

test('A key ring is read as it is written, in both alphabets of base64', async () => {
  const key = Buffer.concat([Buffer.alloc(16, 0xfb), Buffer.alloc(16, 0xff)]);
  const { sealed } = await new KeyRing(new Map([['k', key]])).seal(secret, binding);
  for (const written of [key.toString('base64'), key.toString('base64').replace('=', ''), key.toString('base64url')]) {
    expect(await parseKeyRing(`k:${written}`).open(sealed, binding)).toBe(secret);
    expect(parseKeyRing(` k:${written}, l:${written}`).kids).toEqual(['k', 'l']);
    expect(() => parseKeyRing(`k:${written},k:${written}`)).toThrow('"k"');
  }
});

test('Without ENCRYPTION_KEYS, a key in the data folder is made once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
  try {
    const rings = await Promise.all([1, 2, 3].map(() => openKeyRing({ encryptionKeys: null, dataDir })));
    const { sealed } = await (rings[0] ?? ringOf('x')).seal(secret, binding);
    for (const ring of rings) expect(await ring.open(sealed, binding)).toBe(secret);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('No part of a short secret is shown', () => {
  expect(suggestFix(secret)).toBe('ghij');
  expect(suggestFix('0123456789ab')).toBe('89ab');
  expect(suggestFix('0123456789a')).toBe('');
  expect(suggestFix('')).toBe('');
});
