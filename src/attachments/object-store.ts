import { createHash } from 'node:crypto';
import { NotFoundError, UnavailableError } from '../api/errors.ts';
import type { StorageEnv } from '../config/storage.ts';
import { createDial } from '../outbound/dial.ts';
import { readResponse } from '../outbound/read-response.ts';

/** How long a request may take until it is answered, in milliseconds. */
const answerMs = 30_000;
/** How long the store may send nothing of a file, in milliseconds. */
const silenceMs = 15_000;
/** What is read of an error of the store, and of an answer without content. */
const shortBounds = { maxBytes: 2_000, timeoutMs: 5_000 } as const;

/** How long the store may take. */
interface StoreTimes {
  readonly answerMs: number;
  readonly silenceMs: number;
}

/**
 * A bucket of an S3-compatible store. Its requests are signed (AWS Signature Version 4) by aws4fetch, a signer without dependencies;
 * the clients of whole services are a hundred times its size. The path names the bucket, which all stores understand.
 */
export class ObjectStore {
  readonly #env: StorageEnv;
  readonly #times: StoreTimes;
  readonly #dial = createDial();

  constructor(env: StorageEnv, times: Partial<StoreTimes> = {}) {
    this.#env = env;
    this.#times = { answerMs, silenceMs, ...times };
  }

  /**
   * Stores an object. The store compares what arrives with its hash.
   * @throws {UnavailableError} if the store refuses it, or does not answer in time
   */
  async put(key: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(data.length) };
    const response = await this.#send('PUT', key, { headers, body: data, signal: this.#untilAnswered() });
    await this.#assertOk(response, key);
    await readResponse(response, shortBounds);
  }

  /**
   * Reads a part of an object, as fast as its reader takes it.
   * @param from the first byte
   * @param to the last byte, inclusive
   * @throws {NotFoundError} if it does not exist; {@link UnavailableError} if the store fails, does not answer, or sends too little
   */
  async *read(key: string, from: number, to: number): AsyncGenerator<Uint8Array> {
    const silent = new AbortController();
    const waitFor = async <T>(answer: Promise<T>, ms: number): Promise<T> => {
      const timer = setTimeout(() => silent.abort(new Error('The store sends nothing.')), ms);
      return answer.finally(() => clearTimeout(timer));
    };
    const headers = { range: `bytes=${from}-${to}` };
    const sending = this.#send('GET', key, { headers, body: null, signal: silent.signal });
    const response = await waitFor(sending, this.#times.answerMs);
    await this.#assertOk(response, key);
    const reader = response.body?.getReader();
    // A store that knows no ranges sends the whole object.
    let skipped = response.status === 200 ? from : 0;
    let left = to - from + 1;
    try {
      while (left > 0 && reader !== undefined) {
        const { done, value } = await waitFor(reader.read(), this.#times.silenceMs);
        if (done) break;
        const wanted = value.subarray(skipped, skipped + left);
        skipped = Math.max(0, skipped - value.length);
        left -= wanted.length;
        if (wanted.length > 0) yield wanted;
      }
    } catch (cause) {
      throw unavailable('It broke off while a file was read.', cause);
    } finally {
      await reader?.cancel().catch(() => {});
    }
    if (left > 0) throw unavailable('It has sent less of a file than there is.');
  }

  /**
   * Deletes an object. One that does not exist is deleted.
   * @throws {UnavailableError} if the store refuses it, or does not answer in time
   */
  async delete(key: string, signal: AbortSignal): Promise<void> {
    const until = AbortSignal.any([signal, this.#untilAnswered()]);
    const response = await this.#send('DELETE', key, { headers: {}, body: null, signal: until });
    if (response.status !== 404) await this.#assertOk(response, key);
    await readResponse(response, shortBounds);
  }

  #untilAnswered(): AbortSignal {
    return AbortSignal.timeout(this.#times.answerMs);
  }

  async #send(
    method: 'PUT' | 'GET' | 'DELETE',
    key: string,
    {
      headers,
      body,
      signal,
    }: {
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array<ArrayBuffer> | null;
      readonly signal: AbortSignal;
    },
  ): Promise<Response> {
    const { origin, bucket, prefix, region, accessKeyId, secretAccessKey } = this.#env;
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    // Servers that keep files in the database need none.
    const { AwsV4Signer } = await import('aws4fetch');
    const signer = new AwsV4Signer({
      ...{ method, url: `${origin}/${bucket}/${prefix}${key}`, service: 's3', region, accessKeyId, secretAccessKey },
      headers: { ...headers, 'x-amz-content-sha256': hash },
    });
    const { url, headers: signed } = await signer.sign();
    try {
      return await this.#dial(url, { method, headers: signed, body, signal });
    } catch (cause) {
      throw unavailable('It cannot be reached, or does not answer in time.', cause);
    }
  }

  /** @throws {NotFoundError} if there is no such object; {@link UnavailableError} for any other failure */
  async #assertOk(response: Response, key: string): Promise<void> {
    if (response.ok) return;
    const { bytes } = await readResponse(response, shortBounds);
    // The message of the store is for the log: it may name the bucket.
    const cause = new Error(`${key}: status ${response.status}: ${bytes.toString().slice(0, 500)}`);
    if (response.status === 404 && bytes.includes('NoSuchKey'))
      throw new NotFoundError('The content of this attachment is missing in the store of files.', { cause });
    throw unavailable(`It has answered with the status ${response.status}.`, cause);
  }
}

/** The store of the configuration. Null: the database holds the files. */
export function openObjectStore(env: StorageEnv | null): ObjectStore | null {
  return env === null ? null : new ObjectStore(env);
}

function unavailable(why: string, cause?: unknown): UnavailableError {
  return new UnavailableError(`The store of files does not work now. ${why} Try again later.`, {
    ...(cause === undefined ? {} : { cause }),
    retryAfterMs: 5_000,
  });
}
