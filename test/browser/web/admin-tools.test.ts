import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listViolationsOfThemes } from './axe.ts';
import { type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

test('A tool is tried with arguments, and what the server refuses of them stands at their field', async () => {
  const page = await stage.open({ path: '/admin/tools' });
  await page.getByRole('link', { name: 'lookup_order' }).waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  await page.getByRole('link', { name: 'lookup_order' }).click();
  const args = page.getByLabel('Arguments, as JSON');
  await args.fill('no JSON');
  await press(page, 'Run');
  await page.locator('textarea[aria-invalid="true"]').waitFor();
  await args.fill('{ "orderNumber": "1042" }');
  await press(page, 'Run');
  await page.getByText('Espresso machine').waitFor();
  expect(await listViolationsOfThemes(page)).toEqual([]);
  expect(stage.troubles).toEqual([]);
});

test('An HTTP tool is created, changed and deleted, and its secret header can be replaced and never read', async () => {
  const page = await stage.open({ path: '/admin/tools/http/new' });
  await page.getByLabel('Name', { exact: true }).fill('get_invoice');
  await page.getByLabel('Description').fill('Finds an invoice.');
  await page.getByLabel('Address').fill('ftp://api.example.com');
  await page.getByLabel('Headers, as Name: value in each line').fill('Accept: application/json');
  await page.getByLabel('Secret header to set').fill('Authorization');
  await page.getByLabel('Its value').fill('Bearer of_a_long_secret_1111');
  await press(page, 'Create');
  await page.locator('input[aria-invalid="true"]').waitFor();
  expect(await page.getByLabel('Address').getAttribute('aria-invalid')).toBe('true');
  await page.getByLabel('Address').fill('https://api.example.com/invoices/{number}');
  await page
    .getByLabel('JSON Schema of its arguments')
    .fill('{ "type": "object", "properties": { "number": { "type": "string" } }, "required": ["number"] }');
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'get_invoice' }).waitFor();
  await page.getByLabel('Authorization, which ends in 1111').waitFor();
  expect(await page.content()).not.toContain('of_a_long_secret');
  expect(await listViolationsOfThemes(page)).toEqual([]);

  await page.getByLabel('Authorization, which ends in 1111').check();
  await page.getByLabel('Description').fill('Finds an invoice by its number.');
  await press(page, 'Save');
  await page.getByText('Saved').waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'get_invoice' }).waitFor();
  expect(await page.getByLabel('Description').inputValue()).toBe('Finds an invoice by its number.');
  expect(await page.getByText('which ends in').count()).toBe(0);
  await deleteShown(page);
  await page.getByRole('link', { name: 'get_invoice' }).first().waitFor({ state: 'detached' });
});

test('An MCP server is added, shows the state of its connection, and is deleted', async () => {
  const page = await stage.open({ path: '/admin/tools/mcp/new' });
  await page.getByLabel('Name', { exact: true }).fill('crm');
  await page.getByLabel('Address').fill('https://crm.invalid/mcp');
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'crm' }).waitFor();
  await page.getByText(/^(connecting|failed|not connected)$/).waitFor();
  await page.getByText('None are known yet.').waitFor();
  await page.getByLabel('Active').uncheck();
  await press(page, 'Save');
  await page.getByText('Saved').waitFor();
  await page.getByRole('link', { name: 'Tools' }).first().click();
  await page.getByRole('row', { name: 'crm' }).getByText('not connected').waitFor();
  await page.getByRole('link', { name: 'crm' }).click();
  await deleteShown(page);
  await page.getByText('There is none yet. With New MCP server, agents get the tools of a server.').waitFor();
});

async function deleteShown(page: Page): Promise<void> {
  await press(page, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Tools', exact: true }).waitFor();
}

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
}
