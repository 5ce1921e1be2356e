import { raceAbort } from '../../engine/abort.ts';
import { parseJson } from '../../engine/json.ts';
import { AddressGuard } from '../../outbound/address-guard.ts';
import { createDial } from '../../outbound/dial.ts';
import { readResponse } from '../../outbound/read-response.ts';
import { ClientPool } from '../llm/clients.ts';
import { BadVectorsError, failureOfEmbedding } from './failures.ts';
import type { EmbeddingEndpoint } from './presets.ts';
import { readVectors } from './read-vectors.ts';

/** The embeddings endpoint of a provider. */
export interface EmbeddingPort {
  /**
   * Embeds texts, in as few requests as the limits of providers allow, one after the other.
   * @returns a vector of the length 1 for each text, in their order, all of the same number of dimensions
   * @throws {ProviderError} for every failure of the provider; {@link BadVectorsError} if its vectors cannot be used
   * @throws the signal's reason when it is aborted
   */
  embed(endpoint: EmbeddingEndpoint, texts: readonly string[], signal: AbortSignal): Promise<number[][]>;
}

/** Texts of one request: some servers take no more. */
const maxTexts = 64;
/** Characters of one request: OpenAI takes 300,000 tokens, others load all of them at once. */
const maxCharacters = 100_000;
/** Bytes of an answer, and of each vector in it: 4,000 numbers as JSON have some 90,000 characters. */
const maxFrameBytes = 64 * 1024;
const maxVectorBytes = 120_000;

/**
 * Creates the embedding port over the openai package, which tries a request again after a refused connection, 408, 409, 429
 * and 5xx, and waits as long as the provider asks.
 * @param options.guard decides which addresses of users may be dialled
 * @param options.timeoutMs how long the provider may take for one request
 */
export function createOpenAiEmbeddings(options: {
  readonly guard?: AddressGuard;
  readonly timeoutMs: number;
}): EmbeddingPort {
  const { guard = new AddressGuard(), timeoutMs } = options;
  const clients = new ClientPool({
    fetch: createDial(),
    guardedFetch: createDial({ guard }),
    timeoutMs,
    maxRetries: 2,
  });

  async function embedBatch(endpoint: EmbeddingEndpoint, texts: readonly string[], signal: AbortSignal) {
    const { dimensions, model, path, query } = endpoint;
    const client = clients.get({ ...endpoint, api: 'CHAT_COMPLETIONS' });
    const body = { model, input: texts, encoding_format: 'float', ...(dimensions === null ? {} : { dimensions }) };
    const read = async () => {
      const response = await client.post(path, { body, query: { ...query }, signal }).asResponse();
      const maxBytes = maxFrameBytes + texts.length * maxVectorBytes;
      const { bytes, cut } = await readResponse(response, { maxBytes, timeoutMs });
      if (cut !== null) throw new BadVectorsError('UNREADABLE', 'broke off its answer.');
      return parseJson(bytes.toString('utf8'));
    };
    const received = await raceAbort(read(), signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw failureOfEmbedding(error, endpoint.apiKey, timeoutMs / 1_000);
    });
    return readVectors(received, { count: texts.length, dimensions });
  }

  return {
    async embed(endpoint, texts, signal) {
      const vectors: number[][] = [];
      for (const batch of batchesOf(texts)) {
        const embedded = await embedBatch(endpoint, batch, signal);
        const [first] = vectors;
        if (first !== undefined && embedded[0]?.length !== first.length) {
          const what = `sent vectors of ${first.length} and of ${embedded[0]?.length} dimensions.`;
          throw new BadVectorsError('DIMENSIONS', what);
        }
        vectors.push(...embedded);
      }
      return vectors;
    },
  };
}

function* batchesOf(texts: readonly string[]): Generator<string[], void> {
  let batch: string[] = [];
  let characters = 0;
  for (const text of texts) {
    if (batch.length > 0 && (batch.length >= maxTexts || characters + text.length > maxCharacters)) {
      yield batch;
      batch = [];
      characters = 0;
    }
    batch.push(text);
    characters += text.length;
  }
  if (batch.length > 0) yield batch;
}
