import { describe, expect, test } from 'vitest';
import type { Guardrail } from '../../src/guardrails/config.ts';
import { compileMatcher } from '../../src/guardrails/find.ts';
import { OutputFilter } from '../../src/guardrails/output-filter.ts';
import { CheckFailed, type Judgement, type PlannedGuardrail } from '../../src/guardrails/planned.ts';
import { QuestionBudget } from '../../src/guardrails/questions.ts';

const never = new AbortController().signal;
const base = {
  name: 'g',
  stages: ['OUTPUT'],
  action: 'REDACT',
  mode: 'HOLD_BACK',
  window: null,
  onError: 'CLOSED',
} as const;

function local(check: Guardrail['check'], over: Partial<Guardrail> = {}): PlannedGuardrail {
  const matcher = compileMatcher(check);
  if (!matcher) throw new Error('This check asks a provider.');
  return { config: { ...base, check, ...over }, matcher, ask: null };
}
const emails = (over: Partial<Guardrail> = {}) => local({ type: 'PII', kinds: ['EMAIL'] }, over);
const words = (pattern: string, over: Partial<Guardrail> = {}) => local({ type: 'PATTERN', patterns: [pattern] }, over);

const verdict = (flagged: boolean): Judgement => ({ flagged, categories: [], reasoning: null, call: null });
function asking(
  judge: (text: string) => Judgement | Promise<Judgement>,
  over: Partial<Guardrail> = {},
): PlannedGuardrail {
  const check = { type: 'MODERATION', model: 'm', categories: [], threshold: null } as const;
  return { config: { ...base, check, ...over }, matcher: null, ask: async (text) => judge(text) };
}

/** Writes deltas through a filter, as a reader applies what it is shown. */
async function write(deltas: readonly string[], ...guards: PlannedGuardrail[]) {
  const filter = new OutputFilter({ agentId: 'a', guards, timeoutMs: 1_000 });
  const states: string[] = [];
  const results: string[] = [];
  let shown = '';
  let blockedBy: string | null = null;
  let retractions = 0;
  const steps = [...deltas.map((delta) => () => filter.push(delta, never)), () => filter.end(never)];
  for (const step of steps) {
    const next = await step();
    if (next.retractTo !== null) {
      shown = shown.slice(0, next.retractTo);
      retractions++;
    }
    shown += next.text;
    states.push(shown);
    results.push(...next.results.map(({ decision, tripwireTriggered }) => `${tripwireTriggered} ${decision.action}`));
    blockedBy = next.blockedBy;
    if (blockedBy !== null) break;
  }
  return { shown, states, results, blockedBy, retractions, isRedacted: filter.isRedacted };
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const characters = (text: string) => Array.from({ length: text.length }, (_, at) => text.charAt(at));
const graphemes = (text: string) => [...segmenter.segment(text)].map(({ segment }) => segment);
/** The text in two deltas, cut at each of its characters. */
const halves = (text: string) =>
  Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)]);

const address = 'bob@example.com';
const texts: readonly (readonly [string, string, string])[] = [
  ['an address', `Write to ${address} soon. Bye 👋🏽!`, 'Write to [EMAIL] soon. Bye 👋🏽!'],
  ['an address at the end', `Write to ${address}`, 'Write to [EMAIL]'],
  ['two addresses', `${address}, ann@example.com`, '[EMAIL], [EMAIL]'],
  ['full-width letters', 'Write to ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ now.', 'Write to [EMAIL] now.'],
  ['entities of HTML', 'Write to bob&#64;example&period;com now.', 'Write to [EMAIL] now.'],
  ['zero-width joiners', 'Write to b\u200dob@exam\u200bple.com now.', 'Write to [EMAIL] now.'],
];

describe('A text whose addresses are held back', () => {
  for (const window of [null, 32, 100]) {
    test.each(texts)(
      `The text is never shown with %s, wherever it is cut (window ${window})`,
      async (_what, text, expected) => {
        for (const deltas of [characters(text), graphemes(text), ...halves(text), [text]]) {
          const { shown, states, retractions, isRedacted } = await write(deltas, emails({ window }));
          expect(shown).toBe(expected);
          expect(isRedacted).toBe(true);
          expect(retractions).toBe(0);
          // What is shown never holds an address, nor a beginning of one.
          for (const state of states) expect(expected.startsWith(state)).toBe(true);
        }
      },
    );

    test.each(texts)(
      `The text stops before %s if it is blocked, wherever it is cut (window ${window})`,
      async (_what, text, expected) => {
        for (const deltas of [characters(text), graphemes(text), ...halves(text), [text]]) {
          const { shown, blockedBy, results } = await write(deltas, emails({ window, action: 'BLOCK' }));
          expect(blockedBy).toBe('g');
          expect(results).toEqual(['true BLOCK']);
          expect(expected.slice(0, expected.indexOf('[EMAIL]')).startsWith(shown)).toBe(true);
        }
      },
    );
  }

  test('The text is shown by sentences, or with no more than the window held back', async () => {
    const text = 'One two. Three four! Five';
    const bySentence = await write(characters(text), emails());
    expect(new Set(bySentence.states)).toEqual(new Set(['', 'One two. ', 'One two. Three four! ', text]));
    const byWindow = await write(characters(text), emails({ window: 5 }));
    for (const [index, state] of byWindow.states.entries()) expect(index + 1 - state.length).toBeLessThanOrEqual(5);
    const whole = await write(characters(text), emails({ mode: 'BLOCKING' }));
    expect(new Set(whole.states)).toEqual(new Set(['', text]));
  });

  test('The text is shown without a word that is only flagged as long as it is not continued', async () => {
    const { shown, states } = await write(characters('Two cats and a cat.'), words('\\bcat\\b', { window: 1 }));
    expect(shown).toBe('Two cats and a [REDACTED].');
    for (const state of states) expect(state).not.toMatch(/\bcat\b/);
  });

  test('The text is clean in the end of what is longer than the window and than all that is searched at once', async () => {
    const text = `a BEGIN${' x'.repeat(2_000)} END b`;
    const { shown, states, retractions } = await write([...characters(text)], words('BEGIN[ x]*END', { window: 10 }));
    expect(shown).toBe('a [REDACTED] b');
    expect(retractions).toBe(1);
    for (const state of states) expect(state).not.toMatch(/BEGIN[ x]*END/);
  });

  test('The text has no false findings at the beginning of what is searched, and finds a beginning only at its own', async () => {
    const text = 'word '.repeat(1_000);
    expect((await write(graphemes(text), words('^word', { window: 3 }))).shown).toBe(`[REDACTED]${text.slice(4)}`);
  });
});

describe('A text that is checked beside', () => {
  test.each(texts)('The text is withdrawn and shown again without %s', async (_what, text, expected) => {
    for (const deltas of [characters(text), graphemes(text), ...halves(text)]) {
      expect((await write(deltas, emails({ mode: 'PARALLEL' }))).shown).toBe(expected);
    }
  });

  test('The text is withdrawn to what was flagged if it is blocked', async () => {
    const text = `One. Two. Mail ${address} now. Three.`;
    const { shown, blockedBy } = await write(characters(text), emails({ mode: 'PARALLEL', action: 'BLOCK' }));
    expect([shown, blockedBy]).toEqual(['One. Two. Mail ', 'g']);
  });

  test('The text is shown at once, whatever its provider takes, and withdrawn by its verdict', async () => {
    const gate = Promise.withResolvers<Judgement>();
    const filter = new OutputFilter({
      agentId: 'a',
      guards: [asking(() => gate.promise, { mode: 'PARALLEL', action: 'BLOCK' })],
      timeoutMs: 60_000,
    });
    expect(await filter.push('Bad words. ', never)).toMatchObject({ text: 'Bad words. ', blockedBy: null });
    expect(await filter.push('And more', never)).toMatchObject({ text: 'And more', blockedBy: null });
    gate.resolve(verdict(true));
    expect(await filter.end(never)).toMatchObject({ retractTo: 0, text: '', blockedBy: 'g' });
  });
});

describe('A text that a provider checks', () => {
  test('The text is shown by checked sentences; a flagged one is replaced as a whole', async () => {
    const asked: string[] = [];
    const judge = (text: string) => {
      asked.push(text);
      return verdict(/bad[^.]*\. $/.test(text));
    };
    const [good, bad, rest] = [`${'Good '.repeat(40)}one. `, `A bad ${'one '.repeat(60)}too. `, 'Good again. '];
    const { shown, results } = await write(characters(good + bad + rest), asking(judge));
    expect(shown).toBe(`${good}[REDACTED]${rest}`);
    expect(asked.slice(0, 2)).toEqual([good, good + bad]);
    expect(results).toEqual(['true REDACT']);
  });

  test.each([
    ['a window of one character', { window: 1 }, 'x'],
    ['sentences of one letter', {}, 'x. '],
    ['a window of one character, beside the answer', { window: 1, mode: 'PARALLEL' }, 'x'],
  ] as const)(
    'The longest text takes no more than 200 questions with %s, each about little',
    async (_what, over, unit) => {
      const asked: string[] = [];
      const judge = (text: string) => {
        asked.push(text);
        return verdict(false);
      };
      const text = unit.repeat(100_000 / unit.length);
      const deltas = text.match(/.{1,20}/gsu) ?? [];
      expect((await write(deltas, asking(judge, over))).shown).toBe(text);
      expect(asked.length).toBeGreaterThan(10);
      expect(asked.length).toBeLessThan(200);
      expect(asked.slice(0, 100).every(({ length }) => length <= 4_000)).toBe(true);
    },
  );

  test('The texts of a turn that has asked 500 times are not checked any more: onError decides', async () => {
    const questions = new QuestionBudget();
    for (let count = 0; count < 500; count++) expect(questions.take()).toBe(true);
    const guards = [asking(() => verdict(false), { action: 'BLOCK' })];
    const filter = new OutputFilter({ agentId: 'a', guards, timeoutMs: 1_000, questions });
    await filter.push('Hello. ', never);
    const { blockedBy, results } = await filter.end(never);
    expect(blockedBy).toBe('g');
    expect(results[0]?.decision.reasoning).toMatch(/has asked providers 500 times/);
  });

  test('The text is not sent to it with what other guardrails have found', async () => {
    const asked: string[] = [];
    const judge = (text: string) => {
      asked.push(text);
      return verdict(false);
    };
    await write(characters(`Mail ${address} now. Bye.`), asking(judge, { name: 'm' }), emails());
    expect(asked.join()).not.toContain('bob');
  });

  test.each([
    ['CLOSED', null, ['true BLOCK']],
    ['OPEN', 'Hello. ', ['false ALLOW']],
  ] as const)('The text is %s if the provider fails', async (onError, expected, outcome) => {
    const judge = () => {
      throw new CheckFailed('status 500');
    };
    const { shown, blockedBy, results } = await write(['Hello. '], asking(judge, { onError }));
    expect(shown).toBe(expected ?? '');
    expect(blockedBy).toBe(expected === null ? 'g' : null);
    expect(results).toEqual(outcome);
  });

  test('The text does not wait for a provider that never answers longer than the deadline', async () => {
    const guards = [asking(() => new Promise<never>(() => {}), { action: 'BLOCK' })];
    const filter = new OutputFilter({ agentId: 'a', guards, timeoutMs: 20 });
    await filter.push('Hello. ', never);
    const { blockedBy, results } = await filter.end(never);
    expect(blockedBy).toBe('g');
    expect(results[0]?.decision.reasoning).toMatch(/no answer within 0\.02 seconds/);
  });
});
