import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('The graph of a scenario is drawn as it is edited, and what the server refuses is marked where it is', async () => {
  const page = await stage.open({ path: '/admin/scenarios' });
  await page.getByRole('link', { name: 'Customer support' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'Customer support' }).click();
  await page.getByRole('heading', { name: 'Customer support' }).waitFor();
  const graph = page.getByRole('region', { name: 'Graph' });
  await graph.getByRole('link', { name: 'supervisor, begins: hands over to billing, orders' }).waitFor();
  expect(await graph.locator('.edge').count()).toBe(10);

  for (const name of ['supervisor', 'billing', 'orders']) {
    await member(page, name).getByLabel('human_escalation', { exact: true }).uncheck();
  }
  expect(await graph.locator('.edge').count()).toBe(7);
  await press(page, 'Save');
  const refused = '"human_escalation" cannot be reached from the root "supervisor" by handoffs.';
  await member(page, 'human_escalation').getByText(refused).waitFor();
  expect(await graph.locator('.wrong').textContent()).toBe('human_escalation');
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await press(page, 'Remove human_escalation');
  await member(page, 'orders').getByLabel('Conversations begin here').check();
  await member(page, 'billing').getByLabel('When to orders').fill('Whatever is under way.');
  await press(page, 'Save');
  await page.getByText('version 2').waitFor();
  await page.reload();
  await graph.getByRole('link', { name: 'orders, begins' }).waitFor();
  expect(await member(page, 'billing').getByLabel('When to orders').inputValue()).toBe('Whatever is under way.');
  expect(stage.troubles).toEqual([]);
});

test('A scenario is made of shared agents, answers in the chat, and is deleted', async () => {
  const page = await stage.open({ path: '/admin/scenarios/new' });
  await page.getByLabel('Name', { exact: true }).fill('Two of us');
  await page.getByLabel('Key').fill('two');
  for (const name of ['billing', 'orders']) {
    await page.getByLabel('Shared agent').selectOption({ label: name });
    await press(page, 'Add it');
  }
  await member(page, 'billing').getByLabel('orders', { exact: true }).check();
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'Two of us' }).waitFor();
  // An update replaces the whole scenario: its guardrails have to survive that.
  await page.goto(`${stage.url}/admin/scenarios`);
  await page.getByRole('link', { name: 'Guarded assistant' }).click();
  await press(page, 'Save');
  await page.getByText('version 2').waitFor();
  const chat = await stage.open({ beside: page });
  await chat.getByLabel('Who answers').selectOption({ label: 'Guarded assistant' });
  await chat.getByLabel('Message', { exact: true }).fill('My password is hunter2');
  await chat.keyboard.press('Enter');
  await chat.getByText('guardrail passwords', { exact: false }).first().waitFor({ timeout: 60_000 });

  await page.goto(`${stage.url}/admin/scenarios`);
  await page.getByRole('link', { name: 'Two of us' }).click();
  await press(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Scenarios' }).waitFor();
  await page.getByRole('link', { name: 'Two of us' }).waitFor({ state: 'detached' });
});

test('The history of a scenario shows who has changed it, what it was and what is different, and brings it back', async () => {
  const page = await stage.open({ path: '/admin/scenarios' });
  const scenarioId = await makeScenario(page);
  await page.goto(`${stage.url}/admin/scenarios/${scenarioId}`);
  await page.getByLabel('Name', { exact: true }).fill('Of today');
  await member(page, 'orders').getByLabel('billing', { exact: true }).check();
  await press(page, 'Remove temporary');
  await press(page, 'Save');
  await page.getByText('version 2', { exact: true }).waitFor();
  await member(page, 'billing').getByLabel('When to orders').fill('Parcels.');
  await press(page, 'Save');
  await page.getByText('version 3', { exact: true }).waitFor();

  await page.getByRole('link', { name: 'History' }).click();
  const rows = page.getByRole('region', { name: 'Versions' }).locator('tbody tr');
  await page.getByRole('link', { name: 'Version 1', exact: true }).waitFor();
  expect(await rows.count()).toBe(3);
  expect(await rows.nth(0).textContent()).toMatch(/^Version 3Of today.*developerpresent$/);
  expect(await rows.nth(2).textContent()).toMatch(/^Version 1Of yesterday.*developer$/);
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await page.getByRole('link', { name: 'Version 1', exact: true }).click();
  await page.getByRole('heading', { name: 'Version 1 of Of today' }).waitFor();
  const graph = page.getByRole('region', { name: 'Graph' });
  await graph.getByRole('link', { name: 'orders: hands over to temporary' }).click();
  expect(await page.evaluate('location.hash + document.querySelector(":target").textContent')).toContain('temporary');
  await page.getByText('What is different now').waitFor();
  expect(await page.getByRole('list', { name: 'Changes' }).getByRole('listitem').allTextContents()).toEqual([
    'The name was “Of yesterday”, and is “Of today”.',
    'temporary is no member any more.',
    'When billing hands over to orders was empty, and is “Parcels.”.',
    'orders hands over to billing now.',
  ]);
  expect(await listViolationsOfThemes(page)).toEqual([]);

  // Somebody else changes it meanwhile: nothing is overwritten unseen.
  const [beside, late] = [await openBeside(page, scenarioId), await openBeside(page, scenarioId)];
  await press(beside, 'Save');
  await beside.getByText('version 4', { exact: true }).waitFor();
  await press(late, 'Save');
  await late.getByText('was expected to have version 3, and it has version 4').waitFor();
  await restore(page);
  await page.getByText('was expected to have version 3, and it has version 4').waitFor();
  await page.reload();
  await restore(page);
  await page.getByRole('heading', { name: 'Of yesterday' }).waitFor();
  await page.getByText('version 5', { exact: true }).waitFor();
  expect(await member(page, 'orders').getByLabel('temporary', { exact: true }).isChecked()).toBe(true);
  await page.getByRole('link', { name: 'History' }).click();
  await page.getByText('restored from 1').waitFor();
  expect(await rows.count()).toBe(5);

  await page.getByRole('link', { name: 'Version 4', exact: true }).click();
  await restore(page);
  await page.getByText('version 6', { exact: true }).waitFor();
  await stage.ask(page, 'mutation ($id: ID!) { deleteAgent(id: $id) }', { id: await findAgent(page, 'temporary') });
  await page.goto(`${stage.url}/admin/scenarios/${scenarioId}/versions/1`);
  await page.getByText('It cannot be restored: the agent temporary was deleted.').waitFor();
  expect(await page.getByRole('button', { name: 'Restore' }).count()).toBe(0);
  expect(await graph.locator('.wrong').textContent()).toBe('temporary');
  expect(await listViolationsOfThemes(page)).toEqual([]);
});

test('Who saves after somebody else is told so, keeps what they have written, and can save it over that version', async () => {
  const page = await stage.open({ path: '/admin/scenarios' });
  const billing = await findAgent(page, 'billing');
  const members = [{ agentId: billing, handoffs: [] }];
  const id = await createScenario(page, { key: 'both', name: 'Of both', rootAgentId: billing, agents: members });
  const [mine, theirs] = [await openBeside(page, id), await openBeside(page, id)];
  await theirs.getByLabel('Name', { exact: true }).fill('Of them');
  await press(theirs, 'Save');
  await theirs.getByText('version 2', { exact: true }).waitFor();

  await mine.getByLabel('Name', { exact: true }).fill('Of me');
  await press(mine, 'Save');
  await mine.getByText('Somebody has saved version 2 since you began').waitFor();
  expect(await listViolationsOfThemes(mine)).toEqual([]);
  expect(await mine.getByLabel('Name', { exact: true }).inputValue()).toBe('Of me');
  await press(mine, 'Save over version 2');
  await mine.getByText('version 3', { exact: true }).waitFor();
  // From here on it goes as before.
  await press(mine, 'Save');
  await mine.getByText('version 4', { exact: true }).waitFor();
  await mine.reload();
  await mine.getByRole('heading', { name: 'Of me' }).waitFor();
});

async function openBeside(page: Page, scenarioId: string): Promise<Page> {
  const beside = await stage.open({ path: `/admin/scenarios/${scenarioId}`, beside: page });
  await beside.getByRole('button', { name: 'Save', exact: true }).waitFor();
  return beside;
}

const agents = z.object({
  agents: z.object({ edges: z.array(z.object({ node: z.object({ id: z.string(), name: z.string() }) })) }),
});

async function findAgent(page: Page, name: string): Promise<string> {
  const found = agents.parse(await stage.ask(page, '{ agents(first: 100) { edges { node { id name } } } }'));
  return found.agents.edges.find(({ node }) => node.name === name)?.node.id ?? '';
}

/** @returns the id of a scenario with billing, orders, and an agent of its own */
async function makeScenario(page: Page): Promise<string> {
  const createAgent = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  await stage.ask(page, createAgent, { input: { name: 'temporary', instructions: 'Hi.', isShared: true } });
  const [billing, orders, temporary] = [
    await findAgent(page, 'billing'),
    await findAgent(page, 'orders'),
    await findAgent(page, 'temporary'),
  ];
  return await createScenario(page, {
    key: 'history',
    name: 'Of yesterday',
    rootAgentId: billing,
    agents: [
      { agentId: billing, handoffs: [{ toAgentId: orders }] },
      { agentId: orders, handoffs: [{ toAgentId: temporary }] },
      { agentId: temporary, handoffs: [] },
    ],
  });
}

/** @returns its id */
async function createScenario(page: Page, input: Readonly<Record<string, unknown>>): Promise<string> {
  const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
  const answer = z.object({ createScenario: z.object({ id: z.string() }) });
  return answer.parse(await stage.ask(page, create, { input })).createScenario.id;
}

async function restore(page: Page): Promise<void> {
  await press(page, 'Restore');
  await page.getByRole('dialog').getByRole('button', { name: 'Restore' }).click();
}

test('On a narrow screen the graph opens at the agent that begins', async () => {
  const page = await stage.open({ path: '/admin/scenarios', viewport: { width: 320, height: 720 } });
  await page.getByRole('link', { name: 'Customer support' }).click();
  const graph = page.getByRole('region', { name: 'Graph' });
  const root = graph.getByRole('link', { name: /begins/ });
  await root.waitFor();
  const [frame, node] = [await graph.boundingBox(), await root.boundingBox()];
  if (!frame || !node) throw new Error('The graph is not shown.');
  expect(await graph.evaluate(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)).toBe(true);
  expect(node.x).toBeGreaterThanOrEqual(frame.x);
  expect(node.x + node.width).toBeLessThanOrEqual(frame.x + frame.width);
});

const member = (page: Page, name: string): Locator => page.getByRole('group', { name, exact: true });

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}
