import { ModelError, type ModelEvent, type ModelRequest } from '../../../src/engine/ports.ts';

export type Api = ModelRequest['endpoint']['api'];

export const apiKey = 'sk-test-0123456789';
/** A request for one model step. */
export function requestFor(api: Api, apiUrl: string, changes: Partial<ModelRequest> = {}): ModelRequest {
  return {
    endpoint: { api, apiUrl, apiKey, model: 'test-model' },
    instructions: 'Be brief.',
    history: [{ role: 'user', content: 'Hello' }],
    tools: [],
    temperature: 0.7,
    maxTokens: 2000,
    ...changes,
  };
}

/** What one step answered, with its failure or abort reason in place of a throw. */
export async function collect(events: AsyncIterable<ModelEvent>) {
  const seen: ModelEvent[] = [];
  let thrown: unknown;
  try {
    for await (const event of events) seen.push(event);
  } catch (error) {
    thrown = error;
  }
  const join = (type: 'text' | 'reasoning') => seen.map((event) => (event.type === type ? event.delta : '')).join('');
  return {
    seen,
    text: join('text'),
    reasoning: join('reasoning'),
    calls: seen.flatMap((event) => (event.type === 'call' ? [event.call] : [])),
    finished: seen.at(-1)?.type === 'finished' ? seen.at(-1) : undefined,
    thrown,
    failure: thrown instanceof ModelError ? thrown.failure : undefined,
  };
}
