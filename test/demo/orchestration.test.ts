import { expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

test.each(['responses', 'chat_completions'])(
  'In the seeded scenario, the demo model hands over between agents by what is asked (%s)',
  async (api) => {
    await using demo = new AsyncDisposableStack();
    const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
    demo.defer(() => model.close());
    const env = { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo', MODEL_API: api };
    await using app = await startTestApp({ env });
    const chat = await openChat(app, 'orchestrated');
    const ask = async (text: string) => {
      const [{ runId = '' } = {}] = await chat.readToEnd(text);
      const { run } = await chat.ask(documents.run, { id: runId });
      const { agent, routingDecision } = run.messages.length > 0 ? { ...run, agent: run.messages.at(-1).agent } : run;
      return [agent.name, routingDecision.confidence];
    };
    expect(await ask('Hello')).toEqual(['assistant', 0.5]);
    expect(await ask('Where is my order 1042?')).toEqual(['orders', 0.9]);
    expect(await ask('I want a refund for it')).toEqual(['billing', 0.9]);
    expect(await ask('And when does the parcel arrive?')).toEqual(['orders', 0.9]);
    // Nobody is meant: whoever has answered stays.
    expect(await ask('Hm hm')).toEqual(['orders', 0.5]);
  },
);
