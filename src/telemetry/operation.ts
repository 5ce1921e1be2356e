import type { Span } from '@opentelemetry/api';
import { operationSeconds, operations } from './metrics.ts';
import { currentScope } from './scope.ts';
import { beginSpan, endSpan } from './spans.ts';
import { parseTraceparent } from './traceparent.ts';

/** How an operation ended. */
export interface OperationEnd {
  /** Null: it was not parsed. */
  readonly type: string | null;
  readonly name: string | null;
  /** The codes of its errors. */
  readonly codes: ReadonlySet<string>;
  readonly tenantId: string | null;
}

/**
 * Measures one GraphQL operation, and opens its span: everything that it starts belongs to it from now on.
 * @param traceparent as the client has sent it; what is not valid is ignored
 */
export class OperationTelemetry {
  readonly #transport: 'http' | 'ws';
  readonly #span: Span | null;
  readonly #begunAt = performance.now();

  constructor(given: { readonly requestId: string; readonly transport: 'http' | 'ws'; readonly traceparent: unknown }) {
    const { requestId, transport, traceparent } = given;
    this.#transport = transport;
    const parent = parseTraceparent(traceparent);
    const attributes = { 'switchboard.request.id': requestId, 'network.protocol.name': transport };
    this.#span = beginSpan('graphql', { kind: 'server', parent, attributes });
    const scope = currentScope();
    if (scope === null) return;
    scope.requestId = requestId;
    scope.trace = this.#span?.spanContext() ?? parent;
  }

  end({ type, name, codes, tenantId }: OperationEnd): void {
    const [code = 'OK'] = codes;
    const labels = { transport: this.#transport, type: type ?? 'none' };
    operations.inc({ ...labels, code });
    if (type === 'query' || type === 'mutation') {
      operationSeconds.observe(labels, (performance.now() - this.#begunAt) / 1_000);
    }
    const span = this.#span;
    if (span === null) return;
    if (type !== null) {
      span.updateName(type);
      span.setAttribute('graphql.operation.type', type);
    }
    if (name !== null) span.setAttribute('graphql.operation.name', name);
    if (tenantId !== null) span.setAttribute('switchboard.tenant.id', tenantId);
    endSpan(span, code === 'OK' ? null : code);
  }
}
