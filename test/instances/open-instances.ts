import { vi } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createTestDatabase } from '../support/database/database.ts';

/** An instance, and alice on it. */
export interface Instance extends TestApp {
  readonly alice: SocketClient;
}

/** Starts instances over one database. @param env for all of them, such as their Redis */
export async function openInstances(count: number, env: Record<string, string> = {}) {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const instances: Instance[] = [];
  for (let index = 0; index < count; index++) {
    const app = opening.use(await startTestApp({ databaseUrl: database.url, env }));
    instances.push({ ...app, alice: await openSocketClient(app, 'alice') });
  }
  const opened = opening.move();
  return Object.assign(instances, { [Symbol.asyncDispose]: () => opened.disposeAsync() });
}

/**
 * Starts instances that repeat nothing by themselves: no checkpoint, no look at what other instances do. What reaches one of
 * them was brought there by a message.
 */
export async function openIdleInstances(count: number, env: Record<string, string> = {}) {
  // Intervals that are set while they start never come round; all that is set later does.
  vi.useFakeTimers({ toFake: ['setInterval'] });
  try {
    return await openInstances(count, env);
  } finally {
    vi.useRealTimers();
  }
}
