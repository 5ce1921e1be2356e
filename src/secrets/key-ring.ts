import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { base64url, CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { z } from 'zod';

/** What an encrypted secret is bound to: it cannot be decrypted for anything else. */
export interface SecretBinding {
  /** Its owner, e.g. `agent:<row id>`. */
  readonly owner: string;
  /** What it is for, e.g. `llm`. */
  readonly name: string;
  /** The origin (scheme, host and port) that it may be sent to: the same host without TLS is another origin. */
  readonly origin: string;
}

/** A stored secret. */
export interface SealedSecret {
  /** The id of the key that it is encrypted with. */
  readonly kid: string;
  /** A compact JWE (RFC 7516, section 7.1): `dir` and A256GCM, with the binding in its protected header. */
  readonly sealed: string;
}

/** A secret cannot be decrypted: its key is missing, it is bound to something else, or it was changed. */
export class SecretUnreadableError extends Error {
  override readonly name = 'SecretUnreadableError';
}

const header = z.object({ alg: z.literal('dir'), enc: z.literal('A256GCM'), kid: z.string(), for: z.string() });

/** The keys for stored secrets. The first one encrypts; the others only decrypt. */
export class KeyRing {
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  /** Derived from the keys, by purpose and kid. */
  readonly #derivedKeys = new Map<string, Uint8Array>();

  /** The id of the key that new secrets are sealed with. */
  readonly currentKid: string;

  /** @param keys by kid, each of 32 bytes, the current one first */
  constructor(keys: ReadonlyMap<string, Uint8Array>) {
    const [current] = keys.keys();
    if (current === undefined) throw new Error('A key ring needs a key.');
    this.#keys = keys;
    this.currentKid = current;
  }

  /** The ids of all its keys. */
  get kids(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** Encrypts a secret with the current key. */
  async seal(secret: string, binding: SecretBinding): Promise<SealedSecret> {
    const kid = this.currentKid;
    const sealed = await new CompactEncrypt(new TextEncoder().encode(secret))
      // The protected header is the additional authenticated data of the encryption (RFC 7516, section 5.1, step 14).
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid, for: describeBinding(binding) })
      .encrypt(this.#keyOf(kid));
    return { kid, sealed };
  }

  /**
   * Decrypts a secret.
   * @throws {SecretUnreadableError} when its key is not in the ring, it was sealed for something else, or it was changed
   */
  async open(sealed: string, binding: SecretBinding): Promise<string> {
    try {
      const { kid, for: boundTo } = header.parse(decodeProtectedHeader(sealed));
      if (boundTo !== describeBinding(binding)) throw new Error('It was sealed for something else.');
      const { plaintext } = await compactDecrypt(sealed, this.#keyOf(kid), {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
      });
      return new TextDecoder().decode(plaintext);
    } catch (cause) {
      throw new SecretUnreadableError(`The secret ${binding.name} of ${binding.owner} cannot be read.`, { cause });
    }
  }

  /**
   * Makes a keyed hash of a text, so that nobody who reads it can find out by trying what the text was.
   * @returns `kid.HMAC-SHA-256` in base64url, with a key that is derived for this purpose (RFC 2104, RFC 5869)
   */
  hash(text: string): string {
    return `${this.currentKid}.${this.#digest('hashes of texts', this.currentKid, text)}`;
  }

  /**
   * Whether a text is the one of a hash. If the key of the hash is not in the ring any more, nobody can tell: then it counts
   * as the same.
   * @param hash of {@link hash}
   */
  isHashOf(hash: string, text: string): boolean {
    const end = hash.lastIndexOf('.');
    const kid = hash.slice(0, end);
    if (end < 0) return false;
    if (!this.#keys.has(kid)) return true;
    return areEqual(hash.slice(end + 1), this.#digest('hashes of texts', kid, text));
  }

  /**
   * Signs a text with the current key, so that it can be given away and recognised when it comes back.
   * @returns `kid.HMAC-SHA-256` in base64url, with a key that is derived for this purpose: no hash is a signature
   */
  sign(text: string): string {
    return `${this.currentKid}.${this.#digest('signatures', this.currentKid, text)}`;
  }

  /**
   * Whether a text was signed by this ring. If the key of the signature is not in it any more, the text counts as not signed.
   * @param signature of {@link sign}; strangers may have written it
   */
  isSignatureOf(signature: string, text: string): boolean {
    const end = signature.lastIndexOf('.');
    const kid = signature.slice(0, end);
    return end > 0 && this.#keys.has(kid) && areEqual(signature.slice(end + 1), this.#digest('signatures', kid, text));
  }

  #digest(purpose: 'hashes of texts' | 'signatures', kid: string, text: string): string {
    const name = `${purpose} ${kid}`;
    const known = this.#derivedKeys.get(name);
    const key = known ?? new Uint8Array(hkdfSync('sha256', this.#keyOf(kid), '', purpose, 32));
    if (!known) this.#derivedKeys.set(name, key);
    return createHmac('sha256', key).update(text).digest('base64url');
  }

  #keyOf(kid: string): Uint8Array {
    const key = this.#keys.get(kid);
    if (key === undefined) throw new Error(`The key ring has no key ${JSON.stringify(kid)}.`);
    return key;
  }
}

function areEqual(written: string, made: string): boolean {
  const [one, other] = [Buffer.from(written), Buffer.from(made)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function describeBinding({ owner, name, origin }: SecretBinding): string {
  return JSON.stringify([owner, name, origin]);
}

/**
 * The key ring as ENCRYPTION_KEYS writes it: `kid:base64,…`, the current key first.
 * @throws {Error} when a kid is there twice
 */
export function parseKeyRing(written: string): KeyRing {
  const keys = new Map<string, Uint8Array>();
  for (const entry of written.split(',')) {
    const [kid = '', ...rest] = entry.trim().split(':');
    if (keys.has(kid)) throw new Error(`ENCRYPTION_KEYS has two keys named ${JSON.stringify(kid)}.`);
    keys.set(kid, base64url.decode(rest.join(':').replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')));
  }
  return new KeyRing(keys);
}
