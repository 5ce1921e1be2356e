import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readToolsFile } from '../../src/tools/registry/tools-file.ts';
import { startTestApp } from '../support/app.ts';

test('What docs/scenarios.md prints of tools works as printed', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/scenarios.md'), 'utf8');
  const half = page.slice(page.indexOf('\n## Tools'));
  const blocks = [...half.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, code = '']) => ({
    language,
    code,
  }));
  const documents = blocks.flatMap(({ language, code }, index) =>
    language === 'graphql' ? [[code, JSON.parse(blocks[index + 1]?.code ?? '')] as const] : [],
  );
  expect(documents).toHaveLength(3);

  await using app = await startTestApp();
  const token = await app.token({ sub: 'root', roles: ['admin'] });
  const answers: Record<string, unknown> = {};
  for (const [document, variables] of documents) {
    const { data, errors } = await app.query(document, variables, { token });
    expect(errors).toEqual([]);
    Object.assign(answers, data);
  }
  expect(answers).toMatchObject({
    createHttpTool: { name: 'get_invoice', secretHeaders: [{ name: 'authorization', hint: 'e-me' }] },
    createMcpServer: { secretHeaders: [{ name: 'authorization', hint: 'e-me' }] },
    executeTool: { ok: true, result: { timeZone: 'Europe/Berlin' }, error: null },
  });

  const folder = await mkdtemp(join(tmpdir(), 'switchboard-docs-'));
  try {
    const path = join(folder, 'tools.yaml');
    await writeFile(path, blocks.find(({ language }) => language === 'yaml')?.code ?? '');
    const { httpTools, mcpServers } = await readToolsFile(path);
    expect([...httpTools, ...mcpServers].map(({ name }) => name)).toEqual(['get_weather', 'files', 'tickets']);
  } finally {
    await rm(folder, { recursive: true });
  }
});
