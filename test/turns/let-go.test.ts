import { expect, test } from 'vitest';
import { LeaseLost } from '../../src/runs/lease.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

test('A run that its process has let go of and takes up again tells no seq twice, also if nothing of it was stored', async () => {
  await using app = await startTestApp();
  const chat = await openChat(app);
  const gate = createGate();
  app.model.add({ text: ['A', ' b'], afterTokens: 1, gate }, { text: 'C d' });
  const turn = chat.say('Hello');
  const shown = await turn.untilText('A');
  const [active] = app.app.runs.running.values();
  if (!active) throw new Error('The run is not carried out.');
  // As after an outage that was too long (checkpoint.ts): before the first checkpoint.
  active.stop(new LeaseLost(active.run.id));
  gate.open();
  expect(await active.done).toBe('lost');
  const events = await turn.rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect(events.filter(({ __typename }) => __typename === 'RunStarted')).toHaveLength(1);
  // A reader that had left comes back after what it was given, and gets all of the rest.
  const later = await chat.runEvents('ws', shown.runId, shown.seq).rest();
  expect(later.map(({ __typename }) => __typename)).toContain('TextDelta');
  expect(later[0]?.seq).toBeGreaterThan(10_000);
});
