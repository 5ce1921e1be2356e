import { expect, test } from 'vitest';
import { presets } from '../../examples/web/src/admin/agents/presets.ts';
import { llmNeedsApiUrl, llmPresets } from '../../src/providers/llm/presets.ts';
import { sttPresets, ttsPresets } from '../../src/providers/speech/presets.ts';

// The schema does not offer the presets of providers: the forms of the admin pages have a list of their own.
test.for([
  ['llm', llmPresets],
  ['tts', ttsPresets],
  ['stt', sttPresets],
] as const)(
  'The forms of the admin pages know the providers of the server, and their addresses: %s',
  ([kind, known]) => {
    const { demo: _, ...offered } = presets[kind];
    const addresses = (list: Readonly<Record<string, { readonly apiUrl: string | null }>>) =>
      Object.fromEntries(Object.entries(list).map(([name, { apiUrl }]) => [name, apiUrl]));
    const { demo: __, ...expected } = addresses(known);
    expect(addresses(offered)).toEqual(expected);
  },
);

test('The forms ask for an address where the server does', () => {
  const { llm } = presets;
  const asking = Object.entries(llm).filter(([, preset]) => 'example' in preset);
  expect(new Set(asking.map(([name]) => name))).toEqual(llmNeedsApiUrl);
});
