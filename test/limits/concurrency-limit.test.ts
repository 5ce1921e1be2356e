import { expect, test } from 'vitest';
import { RateLimitedError } from '../../src/api/errors.ts';
import { ConcurrencyLimit } from '../../src/limits/concurrency-limit.ts';
import { createCallLimit } from '../../src/tools/mcp/call-limit.ts';

const viewer = (tenantId: string, userId: string) => ({ tenantId, userId, roles: [], expiresAt: 0 });

/** Enters until it is refused. */
function fill(limit: ConcurrencyLimit, who: ReturnType<typeof viewer>) {
  const entered: Disposable[] = [];
  for (;;) {
    try {
      entered.push(limit.enter(who));
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      return { entered, error };
    }
  }
}

test('A user, a tenant and a process each have a limit, and the refusal names the one that was met', () => {
  const limit = new ConcurrencyLimit('uploads', { user: 3, tenant: 5, process: 9 }, 2_000);
  const refused = [
    ['acme', 'alice', 3, 'Too many uploads at once: at most 3 per user.'],
    ['acme', 'bob', 2, 'Too many uploads at once: at most 5 per organisation.'],
    ['acme', 'carol', 0, 'Too many uploads at once: at most 5 per organisation.'],
    ['other', 'alice', 3, 'Too many uploads at once: at most 3 per user.'],
    ['third', 'alice', 1, 'Too many uploads at once: at most 9 on this server.'],
  ] as const;
  for (const [tenant, user, count, message] of refused) {
    const { entered, error } = fill(limit, viewer(tenant, user));
    expect(entered).toHaveLength(count);
    expect(error).toMatchObject({ code: 'RATE_LIMITED', message, retryAfterMs: 2_000 });
  }
  expect(limit.size).toBe(9);
});

test('What is disposed makes room once, however often it is disposed', () => {
  const limit = new ConcurrencyLimit('calls', { user: 2, tenant: 2, process: 2 });
  const { entered } = fill(limit, viewer('acme', 'alice'));
  for (let round = 0; round < 3; round += 1) entered[0]?.[Symbol.dispose]();
  expect(limit.size).toBe(1);
  expect(fill(limit, viewer('acme', 'bob')).entered).toHaveLength(1);
  expect(limit.size).toBe(2);
});

test('A refusal counts nothing: the others keep their room', () => {
  const limit = new ConcurrencyLimit('calls', { user: 1, tenant: null, process: 2 });
  fill(limit, viewer('acme', 'alice'));
  for (let round = 0; round < 100; round += 1) fill(limit, viewer('acme', 'alice'));
  expect(fill(limit, viewer('acme', 'bob')).entered).toHaveLength(1);
});

test('Users of the same name in two tenants, and names with quotes, are different users', () => {
  const limit = new ConcurrencyLimit('calls', { user: 1, tenant: null, process: null });
  for (const [tenant, user] of [
    ['a', 'b'],
    ['a","b', ''],
    ['a', '","b'],
    ['b', 'b'],
  ] as const) {
    expect(fill(limit, viewer(tenant, user)).entered).toHaveLength(1);
  }
});

test('On an MCP server for every tenant one tenant leaves room for others; on its own it may have all', () => {
  for (const [shared, max] of [
    [true, 128],
    [false, 512],
  ] as const) {
    const calls = createCallLimit(shared);
    const enter = (tenant: string) =>
      Array.from({ length: 1_000 }, (_, n) => {
        try {
          return calls.enter(viewer(tenant, `user ${n}`));
        } catch {
          return null;
        }
      }).filter((entry) => entry !== null);
    const [first] = enter('acme');
    expect(calls.size).toBe(max);
    expect(enter('other')).toHaveLength(shared ? max : 0);
    expect(calls.size).toBe(shared ? 2 * max : max);
    first?.[Symbol.dispose]();
    calls.enter(viewer('acme', 'user 0'));
    expect(() => calls.enter(viewer('acme', 'user 1'))).toThrow(/Too many calls to the MCP server/);
  }
});
