import { readKeyFile } from '../config/key-file.ts';
import { KeyRing, parseKeyRing } from './key-ring.ts';

/**
 * The keys of ENCRYPTION_KEYS; in development, where none are given, one that is kept in the data folder.
 * @throws {Error} when the ring or the file is not right
 */
export async function openKeyRing(from: {
  readonly encryptionKeys: string | null;
  readonly dataDir: string;
}): Promise<KeyRing> {
  if (from.encryptionKeys !== null) return parseKeyRing(from.encryptionKeys);
  return new KeyRing(new Map([['development', await readKeyFile(from.dataDir, 'encryption.key')]]));
}
