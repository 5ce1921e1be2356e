import type { Variables } from './variables.ts';

/** How much one user, one tenant, and all tenants together may have open. */
interface OpenBounds {
  readonly user: number;
  readonly tenant: number;
  readonly process: number;
}

/** How much may be open at the same time: in this process, and where it says so on all instances together. */
export interface ConnectionBounds {
  /** Those of a user and of a tenant hold for all instances together if there is a Redis. */
  readonly sockets: OpenBounds;
  /** Operations over HTTP and sockets, streams included. */
  readonly operations: OpenBounds;
  /** Event streams over HTTP, of one user and of one tenant, on all instances together if there is a Redis. */
  readonly eventStreams: Omit<OpenBounds, 'process'>;
  /** Bytes of answers that are under way, and of one operation. */
  readonly answers: OpenBounds & { readonly operation: number };
  /** Sockets on which no valid token was presented yet. */
  readonly unauthenticatedSockets: { readonly perAddress: number; readonly process: number };
}

/** Reads the bounds from the variables that were checked. */
export function readConnectionBounds(variables: Variables): ConnectionBounds {
  return {
    sockets: {
      user: variables.SOCKETS_PER_USER,
      tenant: variables.SOCKETS_PER_TENANT,
      process: variables.SOCKETS_PER_PROCESS,
    },
    operations: {
      user: variables.OPERATIONS_PER_USER,
      tenant: variables.OPERATIONS_PER_TENANT,
      process: variables.OPERATIONS_PER_PROCESS,
    },
    eventStreams: { user: variables.EVENT_STREAMS_PER_USER, tenant: variables.EVENT_STREAMS_PER_TENANT },
    answers: {
      operation: variables.MAX_ANSWER_BYTES,
      user: variables.ANSWER_BYTES_PER_USER,
      tenant: variables.ANSWER_BYTES_PER_TENANT,
      process: variables.ANSWER_BYTES_PER_PROCESS,
    },
    unauthenticatedSockets: {
      perAddress: variables.UNAUTHENTICATED_SOCKETS_PER_ADDRESS,
      process: variables.UNAUTHENTICATED_SOCKETS,
    },
  };
}
