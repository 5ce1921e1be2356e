import { embeddedTexts, embeddingSeconds, knowledgeSearches, searchSeconds } from './metrics.ts';

/**
 * Measures a request to an embedding provider.
 * @param purpose whether texts of documents are embedded, or a search
 */
export async function observeEmbedding<Result>(
  purpose: 'index' | 'query',
  texts: number,
  embed: () => Promise<Result>,
): Promise<Result> {
  const end = embeddingSeconds.startTimer({ purpose });
  try {
    const result = await embed();
    end({ outcome: 'ok' });
    embeddedTexts.inc({ purpose }, texts);
    return result;
  } catch (error) {
    end({ outcome: 'failed' });
    throw error;
  }
}

/**
 * Measures a search in knowledge bases.
 * @param mode hybrid; full_text: there are no vectors; fallback: the embedding provider has failed
 */
export function noteSearch(mode: 'hybrid' | 'full_text' | 'fallback', startedAt: number, found: number): void {
  knowledgeSearches.inc({ mode, found: found > 0 ? 'yes' : 'no' });
  searchSeconds.observe({ mode }, (performance.now() - startedAt) / 1_000);
}
