import type { Logger } from 'pino';
import { ProviderError } from '../../api/errors.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import { createDial, type DialOptions } from '../../outbound/dial.ts';

/** Requests to providers beside those of turns: what is in progress, and a background job. All end when the server stops. */
export class ProviderRequests {
  readonly logger: Logger;
  readonly #what: string;
  readonly #dial: typeof fetch;
  readonly #guardedDial: typeof fetch;
  readonly #closing = new AbortController();
  /** Requests and jobs in progress. */
  readonly #pending = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param what the providers, for the log: "speech"
   * @param dial of endpoints that a user set; those of the operator are dialled without its guard
   */
  constructor(what: string, logger: Logger, { guard, ...dial }: DialOptions & { readonly guard: AddressGuard }) {
    this.logger = logger;
    this.#what = what;
    this.#dial = createDial(dial);
    this.#guardedDial = createDial({ ...dial, guard });
  }

  /** The fetch function for an endpoint: guarded if a user set its address. */
  dialFor({ guarded = false }: { readonly guarded?: boolean }): typeof fetch {
    return guarded ? this.#guardedDial : this.#dial;
  }

  /**
   * Runs work that asks a provider. It is aborted when the server stops or the client disconnects. Failures are logged with
   * their causes, which clients do not see.
   * @param clientGone aborts when the client disconnects; null: only the server can abort it
   */
  async work<T>(clientGone: AbortSignal | null, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal;
    const working = request(clientGone === null ? closing : AbortSignal.any([closing, clientGone]));
    this.#pending.add(working);
    try {
      return await working;
    } catch (error) {
      // A request that the client abandoned has not failed.
      if (error instanceof ProviderError && !clientGone?.aborted) {
        this.logger.warn({ err: error, problem: error.problem }, `${this.#what} provider failed`);
      }
      throw error;
    } finally {
      this.#pending.delete(working);
    }
  }

  /** Aborts what is in progress, and waits for its end. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.allSettled(this.#pending);
  }

  /** Starts a background job. @param what what it does, for the log if it fails */
  protected sweepEvery(everyMs: number, what: string, sweepOnce: () => Promise<unknown>): void {
    this.#timer = setInterval(() => {
      const sweep = sweepOnce()
        .catch((error: unknown) => this.logger.error({ err: error }, `failed to ${what}`))
        .finally(() => this.#pending.delete(sweep));
      this.#pending.add(sweep);
    }, everyMs);
    this.#timer.unref();
  }
}
