import { z } from 'zod';

const answer = z.object({
  data: z.object({
    importConversations: z.object({
      conversations: z.array(z.object({ id: z.string() })),
      skipped: z.array(z.string()),
    }),
  }),
});

/** Ten words, and no others: what an answer says is not measured. */
const words = 'order parcel refund delivery address invoice product return customer service'.split(' ');

/** A text of so many tokens, in Markdown: paragraphs, lists, code and a table. */
export function writeMarkdown(tokens: number, seed = 0): readonly string[] {
  const pieces: string[] = [];
  for (let block = seed; pieces.length < tokens; block += 1) {
    const say = (count: number) => Array.from({ length: count }, (_, at) => `${words[(at * 7 + block) % 10]} `);
    const kind = block % 5;
    if (kind === 1)
      for (let item = 0; item < 4; item += 1) pieces.push('- ', '**', `${words[item]}`, '** ', ...say(8), '\n');
    else if (kind === 3)
      pieces.push('```ts\n', ...Array.from({ length: 40 }, (_, at) => (at % 8 === 7 ? '\n' : `x${at} `)), '\n```\n');
    else if (kind === 4)
      pieces.push('| a | b |\n', '|---|---|\n', ...Array.from({ length: 6 }, (_, at) => `| ${at} | ${words[at]} |\n`));
    else pieces.push(...say(60));
    pieces.push('\n\n');
  }
  return pieces.slice(0, tokens);
}

/**
 * Creates conversations with so many messages each, by importing them: questions, and answers in Markdown.
 * @returns their ids
 */
export async function createConversations(url: string, token: string, lengths: readonly number[]): Promise<string[]> {
  const file = lengths.map((length) => {
    const mapping: Record<string, object> = { root: { id: 'root', parent: null, children: ['m0'], message: null } };
    for (let at = 0; at < length; at += 1) {
      const role = at % 2 === 0 ? 'user' : 'assistant';
      const text = role === 'user' ? `Question ${at} of ${length}` : `Answer ${at}: ${writeMarkdown(90, at).join('')}`;
      mapping[`m${at}`] = {
        id: `m${at}`,
        parent: at === 0 ? 'root' : `m${at - 1}`,
        children: at + 1 < length ? [`m${at + 1}`] : [],
        message: {
          id: `m${at}`,
          author: { role },
          create_time: 1_790_000_000 + at,
          content: { content_type: 'text', parts: [text] },
        },
      };
    }
    const title = `${length} messages`;
    return { title, create_time: 1_790_000_000, update_time: 1_790_000_000, current_node: `m${length - 1}`, mapping };
  });
  const query = 'mutation ($file: File!) { importConversations(file: $file) { skipped conversations { id } } }';
  const form = new FormData();
  form.append('operations', JSON.stringify({ query, variables: { file: null } }));
  form.append('map', JSON.stringify({ 0: ['variables.file'] }));
  form.append('0', new File([JSON.stringify(file)], 'conversations.json', { type: 'application/json' }));
  const headers = { authorization: `Bearer ${token}`, 'graphql-require-preflight': '1' };
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: form });
  const { conversations, skipped } = answer.parse(await response.json()).data.importConversations;
  if (skipped.length > 0) throw new Error(skipped.join('\n'));
  return conversations.map(({ id }) => id);
}
