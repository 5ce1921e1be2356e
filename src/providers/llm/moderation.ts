import { z } from 'zod';
import { raceAbort } from '../../engine/abort.ts';
import { parseJson } from '../../engine/json.ts';
import type { ModelEndpoint } from '../../engine/ports.ts';
import { AddressGuard } from '../../outbound/address-guard.ts';
import { createDial } from '../../outbound/dial.ts';
import { readResponse } from '../../outbound/read-response.ts';
import { trimBase } from './base-url.ts';
import { ClientPool } from './clients.ts';
import { failureOfRequest, malformedAnswer } from './failures.ts';

/** What the Moderations API says of a text. */
interface Moderation {
  readonly flagged: boolean;
  /** `score` is from 0 to 1. */
  readonly categories: readonly { readonly name: string; readonly flagged: boolean; readonly score: number }[];
}

/** The Moderations API of a provider. */
export interface ModerationPort {
  /**
   * @param endpoint a model's endpoint: its address and key are used
   * @param request.model such as `omni-moderation-latest`
   * @throws {ModelError} for every failure of the provider
   * @throws the signal's reason when it is aborted
   */
  moderate(
    endpoint: ModelEndpoint,
    request: { readonly model: string; readonly text: string },
    signal: AbortSignal,
  ): Promise<Moderation>;
}

/** Bytes that are read of an answer: a few hundred for each of its categories. */
const maxAnswerBytes = 256 * 1024;

/** Categories of an answer, and characters of the name of one: what flags a text is stored and shown with each result. */
const maxCategories = 100;
const maxNameLength = 100;
const categoryName = z.string().max(maxNameLength);
const isShort = (categories: object) => Object.keys(categories).length <= maxCategories;

const answer = z.object({
  results: z
    .array(
      z.object({
        flagged: z.boolean(),
        categories: z.record(categoryName, z.boolean().nullable()).refine(isShort),
        category_scores: z.record(categoryName, z.number().nullable()).refine(isShort),
      }),
    )
    .min(1),
});

/**
 * Creates the moderation port over the openai package.
 * @param options.guard decides which addresses of users may be dialled
 * @param options.timeoutMs how long the provider may take
 */
export function createOpenAiModerations(options: {
  readonly guard?: AddressGuard;
  readonly timeoutMs: number;
}): ModerationPort {
  const { guard = new AddressGuard(), timeoutMs } = options;
  const clients = new ClientPool({
    fetch: createDial(),
    guardedFetch: createDial({ guard }),
    timeoutMs,
    maxRetries: 1,
  });
  return {
    async moderate(endpoint, { model, text }, signal) {
      const client = clients.get({ ...endpoint, apiUrl: trimBase(endpoint.apiUrl) });
      const query = { ...endpoint.query };
      const sent = client.post('/moderations', { body: { model, input: text }, query, signal }).asResponse();
      const read = async () => {
        const { bytes, cut } = await readResponse(await sent, { maxBytes: maxAnswerBytes, timeoutMs });
        return cut !== null ? undefined : parseJson(bytes.toString('utf8'));
      };
      const received = await raceAbort(read(), signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw failureOfRequest(error, endpoint.apiKey, timeoutMs / 1_000);
      });
      const parsed = answer.safeParse(received);
      const [result] = parsed.data?.results ?? [];
      if (result === undefined) throw malformedAnswer();
      return {
        flagged: result.flagged,
        categories: Object.entries(result.categories).map(([name, flagged]) => {
          return { name, flagged: flagged === true, score: result.category_scores[name] ?? 0 };
        }),
      };
    },
  };
}
