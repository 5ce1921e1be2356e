import type { DocumentNode, GraphQLError } from 'graphql';
import { getOperationAST } from 'graphql';
import type { Logger } from 'pino';
import type { Viewer } from '../auth/viewer.ts';
import type { StatementTally } from '../database/statements.ts';
import { codeOf, presentError } from './plugins/errors.ts';

/**
 * One GraphQL operation on its way through the server, whatever it came over: what its log line says in the end.
 * Never in it: tokens, variables, the text of messages.
 */
export class Operation {
  readonly requestId: string;
  readonly transport: 'http' | 'ws';
  /** Who asks, once that is known. */
  viewer: Viewer | null = null;
  /** Whether it is a subscription that was found fit to begin. */
  subscribed = false;
  /** Whether its answer is a stream: then the end of the stream is its end. */
  streaming = false;

  readonly #logger: Logger;
  readonly #statements: StatementTally;
  readonly #onMasked: (operation: Operation) => void;
  readonly #startedAt = performance.now();
  readonly #codes = new Set<string>();
  #name: string | null = null;
  #type: string | null = null;
  #events = 0;
  #finished = false;

  constructor(from: {
    requestId: string;
    transport: 'http' | 'ws';
    logger: Logger;
    statements: StatementTally;
    /** Told of each failure that had to be masked, after it was logged. */
    onMasked: (operation: Operation) => void;
  }) {
    this.requestId = from.requestId;
    this.transport = from.transport;
    this.#logger = from.logger;
    this.#statements = from.statements;
    this.#onMasked = from.onMasked;
  }

  /** Remembers what is asked for. */
  describe(document: DocumentNode, operationName: string | null | undefined): void {
    const definition = getOperationAST(document, operationName);
    this.#name = definition?.name?.value.slice(0, 100) ?? null;
    this.#type = definition?.operation ?? null;
  }

  /** Makes errors fit to be seen, and remembers their codes. */
  present(errors: readonly unknown[]): GraphQLError[] {
    return errors.map((error) => {
      const fit = presentError(error, this.requestId, (cause) => {
        this.#logger.error({ requestId: this.requestId, err: cause }, 'unexpected failure');
        this.#onMasked(this);
      });
      this.#codes.add(codeOf(fit));
      return fit;
    });
  }

  /** Counts one event of a stream. */
  countEvent(): void {
    this.#events += 1;
  }

  /** Writes the log line, once. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#logger.info(
      {
        requestId: this.requestId,
        transport: this.transport,
        user: this.viewer?.userId ?? null,
        tenant: this.viewer?.tenantId ?? null,
        operation: this.#name,
        type: this.#type,
        durationMs: Math.round((performance.now() - this.#startedAt) * 10) / 10,
        statements: this.#statements.count,
        ...(this.streaming ? { events: this.#events } : {}),
        ...(this.#codes.size > 0 ? { errors: [...this.#codes] } : {}),
      },
      'operation',
    );
  }
}
