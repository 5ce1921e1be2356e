import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';

// What "nothing flagged is ever delivered" means, over the wire: each way to cut the stream of a model, each transport,
// each seq to attach after, and all that is left of a turn when it has ended.

const app = shareApp();
const transports = ['ws', 'sse'] as const;
const room = { timeout: 180_000 };

/** The text in two deltas, cut at each of its UTF-16 code units. */
const halves = (text: string) =>
  Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)].filter(Boolean));
const graphemes = (text: string) =>
  [...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)].map(({ segment }) => segment);
const characters = (text: string) => Array.from({ length: text.length }, (_, at) => text.charAt(at));

/** A text with an address that nobody else has written, in each of its spellings. */
function makeTexts() {
  // Of letters that no id and no hash is made of: those are found in every dump.
  const name = `q${[...randomUUID().slice(0, 6)].map((digit) => 'ghijklmnoprstuvw'[Number.parseInt(digit, 16)]).join('')}`;
  const spell = (text: string) => text.replaceAll('NAME', name);
  const fullWidth = (text: string) =>
    text.replaceAll(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0));
  return {
    name,
    texts: [
      spell('To NAME@ex.org 👋🏽.'),
      `To ${fullWidth(spell('NAME@ex.org'))} 👋🏽.`,
      spell('To NAME&#64;ex.org 👋🏽.'),
      spell('To NAME@ex.org 👋🏽.').replace(name, `${name.slice(0, 3)}\u200b${name.slice(3)}`),
    ],
    /** Whether something holds the address: in its own letters, or in those of full width. */
    isIn: (held: string) => held.normalize('NFKC').replaceAll('\u200b', '').includes(name.slice(0, 5)),
  };
}

async function openGuarded(action: 'REDACT' | 'BLOCK') {
  const user = await openNewUser(app);
  const guardrails = [
    { name: 'addresses', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, action, mode: 'HOLD_BACK', window: 8 },
  ];
  const agentId = await user.createAgent({ guardrails });
  return { user, agentId };
}

test.each(['REDACT', 'BLOCK'] as const)(
  'Nothing flagged reaches a reader, wherever the stream is cut, over each transport and after each seq (%s)',
  room,
  async (action) => {
    const { user, agentId } = await openGuarded(action);
    const { sub } = JSON.parse(atob(user.token.split('.')[1] ?? ''));
    const { texts, isIn } = makeTexts();
    let attached = 0;
    for (const text of texts) {
      const cuts = [...halves(text), graphemes(text), characters(text)];
      const chat = await openChat(app, { agentId }, { sub });
      for (const [index, deltas] of cuts.entries()) {
        app.model.add({ text: deltas, delayMs: 0 });
        const transport = transports[index % transports.length] ?? 'ws';
        const events = await chat.chatTurn(transport, { conversationId: chat.conversationId, content: 'Whom?' }).rest();
        const last = events.at(-1);
        expect(last?.__typename).toBe(action === 'REDACT' ? 'RunCompleted' : 'RunFailed');
        expect(isIn(JSON.stringify(events)), `${transport}: ${JSON.stringify(deltas)}`).toBe(false);
        for (const again of transports) {
          for (let after = 0; after < (last?.seq ?? 0); after++) {
            const rest = await chat.runEvents(again, last?.runId ?? '', after).rest();
            expect(isIn(JSON.stringify(rest))).toBe(false);
            expect(rest.at(-1)?.seq).toBe(last?.seq);
            attached += 1;
          }
        }
      }
      // The next turn's model is given the conversation without it.
      app.model.add({ text: 'Ok.', expect: ({ messages }) => expect(isIn(JSON.stringify(messages))).toBe(false) });
      await chat.readToEnd('And now?');
    }
    expect(attached).toBeGreaterThan(500);
    expect(isIn(await dumpDatabase(app.app.runs))).toBe(false);
    expect(isIn(JSON.stringify(app.logs))).toBe(false);
  },
);

test('The check of these tests finds an address where no guardrail has removed it', async () => {
  const { texts, isIn } = makeTexts();
  const chat = await openChat(app);
  for (const text of texts) {
    app.model.add({ text });
    const events = await chat.readToEnd('Whom?');
    expect(isIn(JSON.stringify(events))).toBe(true);
  }
  expect(isIn(await dumpDatabase(app.app.runs))).toBe(true);
});
