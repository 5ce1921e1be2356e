import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, openHarness } from './harness.ts';

const libraries = ['apollo'] as const;
const resources = new AsyncDisposableStack();
let harness: Harness;

beforeAll(async () => {
  harness = await openHarness(resources);
  expect(await harness.project.generate()).toEqual([]);
  expect(harness.project.compileRelay()).toEqual({ printed: '', status: 0 });
  expect(await harness.project.compile()).toEqual({ printed: '', status: 0 });
  await harness.project.bundle(libraries);
});
afterAll(() => resources.disposeAsync());

describe.each(libraries)('A page with the cache of %s', (library) => {
  test('It shows the list and the history as the server has them.', async () => {
    const tab = await harness.openTab(library);
    const id = await tab.other.createConversation('support');
    harness.app.model.add({ text: 'Hello.' });
    await tab.other.chatTurn('ws', { conversationId: id, content: 'Hi' }).rest();
    await tab.load();
    await tab.open(id);
    await tab.compare(id);
    await tab.expectOperations('viewer', 'viewerEvents', 'conversation');
    expect(tab.troubles).toEqual([]);
  });
});
