import { type DocumentNode, type ExecutionResult, type GraphQLError, getOperationAST } from 'graphql';
import type { Logger } from 'pino';
import type { Viewer } from '../../auth/viewer.ts';
import type { StatementTally } from '../../database/statements.ts';
import { OperationTelemetry } from '../../telemetry/operation.ts';
import { codeOf, presentError } from './present-error.ts';

/** What an operation is created from. */
export interface OperationOptions {
  readonly requestId: string;
  readonly transport: 'http' | 'ws';
  /** As the client sent it, to be checked; unset: it did not. */
  readonly traceparent?: unknown;
  readonly logger: Logger;
  readonly statements: StatementTally;
  /** Called after each failure that was masked, once it is in the log. */
  readonly onMasked: (operation: Operation) => void;
}

/**
 * One GraphQL operation on its way through the server, over whichever transport. It collects what its log line says at
 * the end. Tokens, variables and the text of messages never appear there.
 */
export class Operation {
  readonly requestId: string;
  readonly transport: 'http' | 'ws';
  /** Whether it is a subscription that passed every check, so that its source was started. */
  subscribed = false;
  /** Whether its result is a stream: then the operation ends when the stream does. */
  streaming = false;

  /** As whom it counts, if it has no viewer and reads a shared conversation; null: it does not. */
  stranger: Viewer | null = null;

  #viewer: Viewer | null = null;
  readonly #options: OperationOptions;
  readonly #telemetry: OperationTelemetry;
  readonly #startedAt = performance.now();
  readonly #codes = new Set<string>();
  readonly #held: Disposable[] = [];
  readonly #heldUntilSent = new DisposableStack();
  #name: string | null = null;
  #type: string | null = null;
  #events = 0;
  #finished = false;

  constructor(options: OperationOptions) {
    this.requestId = options.requestId;
    this.transport = options.transport;
    this.#options = options;
    this.#telemetry = new OperationTelemetry({ traceparent: null, ...options });
  }

  /** Who sent it, once that is known: from then on its statements use that tenant's share of the connections. */
  get viewer(): Viewer | null {
    return this.#viewer;
  }

  set viewer(viewer: Viewer | null) {
    this.#viewer = viewer;
    this.#options.statements.owner = viewer;
  }

  /** Takes name and type of the operation from its document. */
  describe(document: DocumentNode, operationName: string | null | undefined): void {
    const definition = getOperationAST(document, operationName);
    this.#name = definition?.name?.value.slice(0, 100) ?? null;
    this.#type = definition?.operation ?? null;
  }

  /** Turns errors into what a client may see, and remembers their codes. */
  present(errors: readonly unknown[]): GraphQLError[] {
    return errors.map((error) => {
      const presented = presentError(error, this.requestId, (cause) => {
        this.#options.logger.error({ requestId: this.requestId, err: cause }, 'unexpected failure');
        this.#options.onMasked(this);
      });
      this.#codes.add(codeOf(presented));
      return this.stranger === null ? presented : hideHint(presented);
    });
  }

  /** The result with its errors as a client may see them. */
  presentResult(result: ExecutionResult): ExecutionResult {
    return result.errors ? { ...result, errors: this.present(result.errors) } : result;
  }

  /** Counts one event of a stream. */
  countEvent(): void {
    this.#events += 1;
  }

  /** Disposes of a resource when the operation finishes, such as its place in a concurrency limit. */
  hold(resource: Disposable): void {
    if (this.#finished) resource[Symbol.dispose]();
    else this.#held.push(resource);
  }

  /** Disposes of a resource when the answer was sent, or when it is counted where it is sent. */
  holdUntilSent(resource: Disposable): void {
    if (this.#heldUntilSent.disposed) resource[Symbol.dispose]();
    else this.#heldUntilSent.use(resource);
  }

  /** The answer was sent, or there is nobody to send it to. Later calls do nothing. */
  sent(): void {
    this.#heldUntilSent.dispose();
  }

  /** Releases what the operation holds and writes the log line. Later calls do nothing. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const resource of this.#held) resource[Symbol.dispose]();
    const tenantId = this.viewer?.tenantId ?? null;
    this.#telemetry.end({ type: this.#type, name: this.#name, codes: this.#codes, tenantId });
    this.#options.logger.info(
      {
        requestId: this.requestId,
        transport: this.transport,
        user: this.viewer?.userId ?? null,
        tenant: this.viewer?.tenantId ?? null,
        operation: this.#name,
        type: this.#type,
        durationMs: Math.round((performance.now() - this.#startedAt) * 10) / 10,
        statements: this.#options.statements.count,
        ...(this.streaming ? { events: this.#events } : {}),
        ...(this.#codes.size > 0 ? { errors: [...this.#codes] } : {}),
      },
      'operation',
    );
  }
}

/** Strangers are told what is wrong, and not what else there is in the schema. */
function hideHint(error: GraphQLError): GraphQLError {
  const hint = error.message.indexOf(' Did you mean');
  if (hint === -1) return error;
  error.message = error.message.slice(0, hint);
  return error;
}
