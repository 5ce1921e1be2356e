import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, say, setStage, waitForEnd } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('Tickets that an agent and a person open are listed, filtered, commented on and solved, before the eyes of others', async () => {
  const page = await stage.open({ path: '/admin/tickets' });
  await page.getByText('There is no ticket yet. Open one below').waitFor({ timeout: 60_000 });
  const heights = await page
    .getByRole('search')
    .locator('input, select')
    .evaluateAll((fields) => fields.map((field) => field.getBoundingClientRect().height));
  expect(new Set(heights).size).toBe(1);
  const chat = await stage.open({ beside: page });
  await chat.getByLabel('Who answers').selectOption({ label: 'Default agent' });
  await say(chat, 'Please open a ticket: the printer is on fire');
  await waitForEnd(chat);
  // The list hears of it by itself.
  await page.getByRole('link', { name: 'the printer is on fire' }).waitFor({ timeout: 60_000 });

  await page.getByLabel('Subject').fill('New mugs');
  await page.getByLabel('Request').fill('Four of the blue ones.');
  await page.getByLabel('How urgent').selectOption('URGENT');
  await page.getByRole('button', { name: 'Open the ticket' }).click();
  await page.getByRole('heading', { name: '2. New mugs' }).waitFor();
  const other = await stage.open({ beside: page, path: new URL(page.url()).pathname });
  await other.getByText('Four of the blue ones.').waitFor();

  await page.getByLabel('State').selectOption('SOLVED');
  await page.getByLabel('Assigned to').fill('bob');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByLabel('New comment').fill('They came by post.');
  await page.getByLabel('Internal: not for the contact').check();
  await page.getByRole('button', { name: 'Comment' }).click();
  await page.getByText('They came by post.', { exact: true }).and(page.locator('.said')).waitFor();
  await page.getByRole('row', { name: 'status OPEN SOLVED' }).waitFor();
  await page.getByRole('row', { name: 'assignee – bob' }).waitFor();
  await other.getByText('They came by post.').waitFor({ timeout: 60_000 });
  await other.getByRole('row', { name: 'status OPEN SOLVED' }).waitFor({ timeout: 60_000 });
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await page.getByRole('link', { name: 'Tickets' }).first().click();
  await page.getByRole('row', { name: 'New mugs solved urgent bob' }).waitFor();
  await page.getByLabel('State').selectOption('OPEN');
  await page.getByRole('link', { name: 'New mugs' }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'the printer is on fire' }).waitFor();
  await page.getByLabel('State').selectOption('');
  await page.getByLabel('Words').fill('mug');
  await page.getByRole('link', { name: 'the printer is on fire' }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'New mugs' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});

const subscribing = z.object({ id: z.string(), type: z.string(), payload: z.unknown().optional() });

test('When the events since the last one are gone, the list is read again and followed on, and what was written stays', async () => {
  const page = await stage.open();
  let expire = () => {};
  let followed = 0;
  await page.routeWebSocket(/graphql/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const { data } = subscribing.safeParse(JSON.parse(String(message)));
      if (data?.type === 'subscribe' && String(message).includes('ticketEvents')) {
        followed += 1;
        const payload = [{ message: 'They are gone.', extensions: { code: 'EVENTS_EXPIRED' } }];
        expire = () => socket.send(JSON.stringify({ id: data.id, type: 'error', payload }));
      }
      server.send(message);
    });
  });
  await page.goto(`${stage.url}/admin/tickets`);
  await page.getByLabel('Subject').fill('Half of a subject');
  await expect.poll(() => followed).toBe(1);
  expire();
  await expect.poll(() => followed).toBe(2);
  const create = 'mutation ($input: CreateTicketInput!) { createTicket(input: $input) { id } }';
  await stage.ask(page, create, { input: { subject: 'After the gap', body: 'Is it followed?' } });
  await page.getByRole('link', { name: 'After the gap' }).waitFor({ timeout: 60_000 });
  expect(await page.getByLabel('Subject').inputValue()).toBe('Half of a subject');
  expect(stage.troubles).toEqual([]);
});
