import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { createTestDataFolder } from '../support/database/database.ts';

test('A seed whose agent has an impossible provider is refused at the start, with the agent and the field', async () => {
  await using data = await createTestDataFolder();
  const file = join(data.folder, 'seed.json');
  const model = { model: 'm', api: 'CHAT_COMPLETIONS' };
  for (const [llm, problem] of [
    [{ ...model, provider: 'groqq', apiUrl: 'https://api.groq.com/openai/v1' }, 'llm.provider must be one of'],
    [{ ...model, provider: 'groq', apiUrl: 'groq.com/v1' }, 'llm.apiUrl must be a URL'],
    [{ ...model, provider: 'custom' }, 'llm.apiUrl is missing'],
    [{ ...model, provider: 'custom', apiUrl: 'http://169.254.169.254/v1' }, 'llm.apiUrl is that of a metadata service'],
    [{ ...model, provider: 'groq', completionsPath: '/../x' }, 'llm.completionsPath must be a path'],
  ] as const) {
    const agents = [
      { name: 'plain', instructions: 'Hi.' },
      { name: 'tutor', instructions: 'Hi.', llm },
    ];
    await writeFile(file, JSON.stringify({ agents }));
    await expect(startTestApp({ env: { SEED_FILE: file } })).rejects.toMatchObject({
      name: 'StartError',
      message: `The seed of SEED_FILE (${file}) cannot be used.`,
      cause: { message: expect.stringContaining(`agents.1 ("tutor"): ${problem}`) },
    });
  }
});
