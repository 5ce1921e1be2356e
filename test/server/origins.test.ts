import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createOriginCheck, listCorsHeaders } from '../../src/server/requests/origins.ts';
import { shareApp } from '../support/app.ts';
import { openRawSocket } from '../support/clients/raw-socket.ts';
import { edgeSchema } from './edge-schema.ts';

const edge = shareApp({ schema: edgeSchema, env: { ALLOWED_ORIGINS: 'https://app.test' } });

function createCheck(production: boolean) {
  const lines: { msg: string; origin?: string }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { allows: createOriginCheck({ allowed: ['https://app.test'], production, logger }), lines };
}

test.each([
  ['http://localhost:5173', true],
  ['https://localhost', true],
  ['http://app.localhost:3000', true],
  ['http://127.0.0.1:5173', true],
  ['http://127.8.9.10', true],
  ['http://[::1]:5173', true],
  ['http://localhost.evil.test', false],
  ['http://evil-localhost', false],
  ['http://127.0.0.1.evil.test', false],
  ['http://192.168.1.5:5173', false],
  ['http://10.0.0.1', false],
  ['http://0.0.0.0:5173', false],
  ['null', false],
  ['file://', false],
  ['', false],
])('In development a page of %j may use the server: %s; in production none of them may', (origin, allowed) => {
  const host = '127.0.0.1:4000';
  expect(createCheck(false).allows(origin, host)).toBe(allowed);
  expect(createCheck(true).allows(origin, host)).toBe(false);
});

test('A refused origin is logged once, with the variable that allows it', () => {
  const { allows, lines } = createCheck(true);
  for (let count = 0; count < 3; count += 1) {
    allows('https://evil.test', 'api.test');
    allows('https://other.test', 'api.test');
    allows('https://app.test', 'api.test');
    allows(undefined, 'api.test');
  }
  expect(lines.map(({ origin }) => origin)).toEqual(['https://evil.test', 'https://other.test']);
  for (const { msg } of lines) expect(msg).toContain('ALLOWED_ORIGINS');
});

test('The log does not grow with what origins strangers make up', () => {
  const { allows, lines } = createCheck(true);
  allows(`https://${'x'.repeat(10_000)}.test`, 'api.test');
  expect(JSON.stringify(lines).length).toBeLessThan(1_000);
});

test('The first call of a page on a development server works: preflight, operation and socket', async () => {
  const origin = 'http://localhost:5173';
  const requested = 'authorization,content-type,apollographql-client-name,traceparent,sentry-trace,baggage';
  const preflight = await fetch(`${edge.url}/graphql`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': requested },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
  expect(preflight.headers.get('access-control-allow-headers')).toBe(requested);
  expect(Number(preflight.headers.get('access-control-max-age'))).toBeGreaterThanOrEqual(7_200);

  const answer = await edge.query('{ user }', {}, { headers: { origin, traceparent: '00-1-1-01' } });
  expect(answer.data).toEqual({ user: 'alice' });
  expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
  const authorization = await edge.token();
  await using socket = await openRawSocket(edge.wsUrl, { authorization }, { headers: { origin } });
  socket.send({ type: 'ping' });
  expect(await socket.next()).toEqual({ type: 'pong' });
});

test.each(['x\r\ny: z', 'a b', '<script>', 'x,'.repeat(2_000)])(
  'A malformed list of requested headers is not sent back: %j',
  (requested) => {
    expect(listCorsHeaders('https://app.test', requested)['access-control-allow-headers']).toContain('authorization');
  },
);
