import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const checkEveryMs = 20;

/** The responses of an HTTP server that are not written to their end yet. */
export class OpenResponses {
  readonly #open = new Set<ServerResponse>();

  constructor(server: Server) {
    server.on('request', (_request: IncomingMessage, response: ServerResponse) => {
      this.#open.add(response);
      response.once('close', () => this.#open.delete(response));
    });
  }

  /** How many of them are event streams. */
  get eventStreams(): number {
    return [...this.#open].filter(isEventStream).length;
  }

  /** Waits until all are written, or for so long. Event streams are not waited for: they have no end of their own. */
  async settle(maxMs: number): Promise<void> {
    const last = performance.now() + maxMs;
    while ([...this.#open].some((response) => !isEventStream(response)) && performance.now() < last) {
      await sleep(checkEveryMs);
    }
  }
}

function isEventStream(response: ServerResponse): boolean {
  return response.headersSent && String(response.getHeader('content-type')).startsWith('text/event-stream');
}
