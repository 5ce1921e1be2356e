import { randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const keyBytes = 32;
const codeOf = z.object({ code: z.string() });

/**
 * The 32 random bytes in a file of the data folder, made when there is none: keys for development, where the operator
 * gives none. Never for production: env.ts sees to that.
 * @throws {Error} when the file is there and holds no key
 */
export async function readKeyFile(dataDir: string, name: string): Promise<Uint8Array> {
  const path = join(dataDir, name);
  const written = await readFileIfAny(path);
  const text = written ?? (await makeKeyFile(dataDir, path));
  const key = Buffer.from(text.trim(), 'base64url');
  if (key.length !== keyBytes) throw new Error(`${path} holds no key: delete it, and a new one is made.`);
  return key;
}

/** A link appears whole or not at all, so of two processes that make a key at once, both end up with the same one. */
async function makeKeyFile(dataDir: string, path: string): Promise<string> {
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
