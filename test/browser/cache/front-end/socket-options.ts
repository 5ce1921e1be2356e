import type { ClientOptions } from 'graphql-ws';

/** A socket that was cut is opened again at once, as often as it takes. */
export const socketOptions: Partial<ClientOptions> = {
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: () => new Promise((go) => setTimeout(go, 10)),
};
