import type { Viewer } from '../../src/auth/viewer.ts';
import type { App } from '../../src/boot/app.ts';
import { type Context, createContext } from '../../src/graphql/context.ts';
import { openAnswers } from './app.ts';

type Parts = Parameters<typeof createContext>[0];

/**
 * The context of one operation, as the server makes it: with all that the app has. For tests that execute documents past the
 * server, whose limits are for clients.
 * @param viewer without roles, unless it has some; null: there is none
 * @param parts what replaces the app's own, such as another connection to the database
 */
export function makeTestContext(
  app: App,
  viewer: (Pick<Viewer, 'userId' | 'tenantId'> & Partial<Viewer>) | null,
  parts: Partial<Omit<Parts, 'viewer'>> = {},
): Context {
  const known = viewer && { roles: [], expiresAt: Number.POSITIVE_INFINITY, ...viewer };
  return createContext({ ...app, answers: openAnswers(), requestId: 'test', ...parts, viewer: known });
}
