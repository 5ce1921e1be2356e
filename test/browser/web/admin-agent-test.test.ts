import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;
let apiUrl: string;
/** Says what a test has it say. */
const provider = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  provider.emit('asked', response);
});

beforeAll(async () => {
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  resources.defer(() => {
    provider.closeAllConnections();
    provider.close();
  });
  const address = provider.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  apiUrl = `http://${host}/v1`;
  stage = await setStage(resources, { MODEL_ALLOWED_HOSTS: `${host}/` });
});
afterAll(() => resources.disposeAsync());

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const created = z.object({ createAgent: z.object({ id: z.string() }) });

/** Opens the page of an agent with this provider. */
async function openAgent(name: string): Promise<Page> {
  const page = await stage.open({ path: '/admin/agents' });
  const input = { name, instructions: 'Be brief.', llm: { provider: 'custom', model: 'm', apiUrl } };
  const document = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  const { createAgent } = created.parse(await stage.ask(page, document, { input }));
  await page.goto(`${stage.url}/admin/agents/${createAgent.id}`);
  await page.getByRole('heading', { name, exact: true }).waitFor();
  return page;
}

/** Presses Test. @returns the answer of the provider that begins */
async function begin(page: Page): Promise<ServerResponse> {
  const asked = once(provider, 'asked');
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  const [response] = await asked;
  return response;
}

const factsOf = (page: Page) => page.locator('.facts').innerText();

test('The test of an agent shows the answer while the model writes it, and how fast it was', async () => {
  const page = await openAgent('writer');
  const response = await begin(page);
  const answer = page.getByRole('region', { name: 'Answer of the test' });
  await page.getByText('running', { exact: true }).waitFor();
  response.write(chunk({ content: 'One ' }));
  await answer.getByText('One').waitFor();
  // The model has not gone on yet.
  expect(await factsOf(page)).toMatch(/First text after\s+\d+ ms\s+Whole answer after\s+–/);
  expect(await answer.getAttribute('aria-busy')).toBe('true');
  response.write(chunk({ content: 'moment, please.' }));
  await answer.getByText('One moment, please.').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  const usage = { prompt_tokens: 7, completion_tokens: 3 };
  response.end(`${chunk({}, 'stop')}data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
  await page.getByText('works', { exact: true }).waitFor();
  expect(await factsOf(page)).toMatch(/First text after\s+\d+ ms\s+Whole answer after\s+\d+ ms\s+Tokens\s+10/);
  expect(await answer.innerText()).toBe('One moment, please.');
  expect(await page.getByRole('button', { name: 'Stop' }).count()).toBe(0);
  expect(stage.troubles).toEqual([]);
});

test('A test that is stopped, or whose page is left, ends the request to the provider', async () => {
  const page = await openAgent('patient');
  const first = await begin(page);
  const stopped = once(first, 'close');
  first.write(chunk({ content: 'One moment' }));
  await page.getByText('One moment').waitFor();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await stopped;
  await page.getByText('stopped', { exact: true }).waitFor();
  expect(await page.getByRole('region', { name: 'Answer of the test' }).innerText()).toBe('One moment');

  const second = await begin(page);
  const left = once(second, 'close');
  await page.getByRole('link', { name: 'Agents' }).first().click();
  await left;
  expect(stage.troubles).toEqual([]);
});

test('A test that fails says why, what the server refuses stands at its field, and a lost connection is said', async () => {
  const page = await openAgent('faulty');
  const response = await begin(page);
  response.end(chunk({ content: 'Once upon' }));
  await page.getByText('BAD_ANSWER', { exact: true }).waitFor();
  expect(await page.getByRole('region', { name: 'Answer of the test' }).innerText()).toBe('Once upon');

  const prompt = page.getByLabel('Prompt');
  await prompt.fill('');
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await page.locator('input[aria-invalid="true"]').waitFor();
  expect(await prompt.getAttribute('aria-invalid')).toBe('true');
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);

  await page.routeWebSocket(/graphql/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      socket.send(message);
      if (!String(message).includes('"delta"')) return;
      void socket.close({ code: 4000, reason: 'cut by the test' });
      void server.close();
    });
  });
  // The sockets of a page are routed from its beginning on.
  await page.reload();
  await page.getByRole('heading', { name: 'faulty', exact: true }).waitFor();
  const last = await begin(page);
  const ended = once(last, 'close');
  last.write(chunk({ content: 'One moment' }));
  await page.getByRole('alert').filter({ hasText: 'lost before the test had ended' }).waitFor();
  await ended;
});
