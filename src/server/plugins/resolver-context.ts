import type { Plugin } from 'graphql-yoga';
import type { Viewer } from '../../auth/viewer.ts';
import { createContext } from '../../graphql/context.ts';
import type { RequestContext } from '../operation/request-context.ts';

/** The dependencies that all operations of a process share. */
export type SharedDependencies = Omit<
  Parameters<typeof createContext>[0],
  'viewer' | 'stranger' | 'requestId' | 'signal'
>;

/**
 * Builds the context of the resolvers, after the document was found valid.
 * @param ensureProvisioned creates the rows of a viewer who is seen for the first time
 */
export function useResolverContext(
  dependencies: SharedDependencies,
  ensureProvisioned: (viewer: Viewer) => Promise<void>,
): Plugin<RequestContext> {
  return {
    async onContextBuilding({ context }) {
      const { viewer, stranger, requestId } = context.operation;
      if (viewer) await ensureProvisioned(viewer);
      const signal = context.request ? followSignal(context.request.signal) : null;
      const built = createContext({ ...dependencies, viewer, stranger, requestId, signal });
      if (viewer) {
        context.operation.holdUntilSent(built.answer);
        Object.assign(context, built);
      } else {
        if (stranger) context.operation.holdUntilSent(built.answer);
        // Copied by descriptor: copying the values would read `viewer`, which throws if there is none.
        Object.defineProperties(context, Object.getOwnPropertyDescriptors(built));
      }
    },
  };
}

/** A signal of Node's own: Yoga's is an imitation that does not tell AbortSignal.any when it aborts. */
function followSignal(requestSignal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  if (requestSignal.aborted) controller.abort();
  else requestSignal.addEventListener('abort', () => controller.abort(), { once: true });
  return controller.signal;
}
