import { describe, expect, test } from 'vitest';
import { readEnv } from '../../src/config/env.ts';
import { startTestApp } from '../support/app.ts';
import { parseMetrics, scrape } from './scrape.ts';

const token = 'a-token-for-the-collector';
const statusOf = async (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  (await fetch(`${url}/metrics`, { headers, method })).status;

test('Without METRICS_PORT and METRICS_TOKEN there are no metrics, whoever asks', async () => {
  await using app = await startTestApp();
  const bearer = `Bearer ${await app.token({ roles: ['admin'] })}`;
  expect(app.app.metricsPort).toBeNull();
  expect(await statusOf(app.url)).toBe(404);
  expect(await statusOf(app.url, { authorization: bearer })).toBe(404);
  expect(await statusOf(app.url, { authorization: 'Bearer ' })).toBe(404);
});

describe('With METRICS_TOKEN', () => {
  test('The metrics are read with the token, and with nothing else', async () => {
    await using app = await startTestApp({ env: { METRICS_TOKEN: token } });
    const { headers } = await fetch(`${app.url}/metrics`);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    const wrong = ['', 'Bearer', 'Bearer x', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, token, `Basic ${token}`];
    for (const authorization of [...wrong, `Bearer ${await app.token({ roles: ['admin'] })}`]) {
      expect(await statusOf(app.url, { authorization })).toBe(401);
    }
    expect(await statusOf(`${app.url}/..`, { authorization: 'x' })).toBe(401);
    expect(await statusOf(app.url, { authorization: `Bearer ${token}` }, 'POST')).toBe(405);
    const answer = await fetch(`${app.url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const metrics = parseMetrics(await answer.text());
    expect(metrics.sum('switchboard_build_info')).toBe(1);
    expect(JSON.stringify(app.logs)).not.toContain(token);
  });
});

describe('With METRICS_PORT', () => {
  test('The metrics are at that port alone', async () => {
    await using app = await startTestApp({ env: { METRICS_PORT: '0' } });
    expect(await statusOf(app.url)).toBe(404);
    const own = `http://127.0.0.1:${app.app.metricsPort}`;
    const metrics = await scrape(own);
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
      'switchboard_database_connections',
      'switchboard_leases_renewed',
    ]) {
      expect(metrics.samples.some((sample) => sample.name === name)).toBe(true);
    }
    expect(metrics.sum('switchboard_leases_renewed')).toBe(1);
    expect((await fetch(`${own}/graphql`)).status).toBe(404);
  });

  test('A token is asked for there too, if one is set', async () => {
    await using app = await startTestApp({ env: { METRICS_PORT: '0', METRICS_TOKEN: token } });
    const own = `http://127.0.0.1:${app.app.metricsPort}`;
    expect(await statusOf(app.url, { authorization: `Bearer ${token}` })).toBe(404);
    expect(await statusOf(own)).toBe(401);
    expect(await statusOf(own, { authorization: `Bearer ${token}` })).toBe(200);
  });

  test('A port that is in use is reported before the server serves', async () => {
    await using app = await startTestApp({ env: { METRICS_PORT: '0' } });
    const port = String(app.app.metricsPort);
    await expect(startTestApp({ env: { METRICS_PORT: port } })).rejects.toThrow('METRICS_PORT');
  });
});

test('A token that could be guessed is refused at the start', () => {
  expect(() => readEnv({ METRICS_TOKEN: 'short' })).toThrow('METRICS_TOKEN must be 16 to 1024 visible ASCII');
});
