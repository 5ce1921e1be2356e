import type { Plugin } from 'graphql-yoga';
import type { Viewer } from '../../auth/viewer.ts';
import { createContext } from '../../graphql/context.ts';
import type { RequestContext } from '../request-context.ts';

/** What all operations of a process share. */
export type SharedDependencies = Omit<Parameters<typeof createContext>[0], 'viewer' | 'requestId' | 'signal'>;

/**
 * Builds what resolvers are handed, after the document was found valid.
 * @param meet sees each viewer before anything is done for them; on first sight it makes their rows
 */
export function useContext(
  floors: SharedDependencies,
  meet: (viewer: Viewer) => Promise<void>,
): Plugin<RequestContext> {
  return {
    async onContextBuilding({ context }) {
      const { viewer, requestId } = context.operation;
      if (viewer) await meet(viewer);
      const signal = context.request ? followSignal(context.request.signal) : null;
      // By descriptor: copying the values would read `viewer`, which throws where nobody asks.
      Object.defineProperties(
        context,
        Object.getOwnPropertyDescriptors(createContext({ ...floors, viewer, requestId, signal })),
      );
    },
  };
}

/** A signal of Node's own: Yoga's is an imitation, which no longer says that it was aborted once it was combined. */
function followSignal(leaving: AbortSignal): AbortSignal {
  const controller = new AbortController();
  if (leaving.aborted) controller.abort();
  else leaving.addEventListener('abort', () => controller.abort(), { once: true });
  return controller.signal;
}
