import { z } from 'zod';
import { agentWords, stemsOf, topicsOf } from './intents.ts';
import type { ReceivedRequest } from './steps.ts';

const names = z.looseObject({ properties: z.looseObject({ agent: z.looseObject({ enum: z.array(z.string()) }) }) });
const format = z.looseObject({ name: z.literal('routing'), schema: names });
/** A request for structured output, as each of the two APIs has it. */
const structured = z.union([
  z
    .looseObject({ response_format: z.looseObject({ json_schema: format }) })
    .transform((body) => body.response_format.json_schema),
  z.looseObject({ text: z.looseObject({ format }) }).transform((body) => body.text.format),
]);

const question = z.looseObject({ currentAgent: z.string().nullable(), message: z.string() });
const described = z.array(z.looseObject({ name: z.string(), description: z.string().optional() }));

/**
 * The choice of the demo model where a classifier is asked which agent answers: by the topic of the message, else by words
 * that it has in common with what an agent is called or is for. Money comes before orders.
 * @returns undefined: it is not asked to choose
 */
export function routeTo({ body, instructions, messages }: ReceivedRequest) {
  const asked = structured.safeParse(body).data;
  if (asked === undefined) return undefined;
  const agents = asked.schema.properties.agent.enum;
  const last = messages.at(-1);
  const { currentAgent, message } = readQuestion(last?.role === 'user' ? last.content : '');
  const purposes = readPurposes(instructions);
  const score = (name: string) => {
    const purpose = `${name.replaceAll('_', ' ')} ${purposes.get(name) ?? ''}`;
    const topics = topicsOf(message).sort((a, b) => weights[b] - weights[a]);
    const byName = topics.findIndex((topic) => agentWords[topic].test(name));
    if (byName >= 0) return 100 - byName;
    const known = stemsOf(purpose);
    return [...stemsOf(message).keys()].filter((stem) => known.has(stem)).length;
  };
  const ranked = agents.map((name) => ({ name, score: score(name) })).sort((a, b) => b.score - a.score);
  const [best] = ranked;
  const alternatives = ranked.slice(1).flatMap((other) => (other.score > 0 ? [other.name] : []));
  if (best === undefined || best.score === 0) {
    const agent = currentAgent !== null && agents.includes(currentAgent) ? currentAgent : (agents[0] ?? '');
    return { agent, confidence: 0.5, reasoning: 'No word of the message says for whom it is.', alternatives };
  }
  return {
    agent: best.name,
    confidence: 0.9,
    reasoning: `The message is about what ${best.name} is for.`,
    alternatives,
  };
}

const weights = { human: 2, billing: 1, orders: 0 } as const;

function readQuestion(content: string): z.output<typeof question> {
  return question.safeParse(parseJson(content)).data ?? { currentAgent: null, message: content };
}

/** What the agents are for: the one line of the instructions that is a JSON list. */
function readPurposes(instructions: string): Map<string, string> {
  const line = instructions.split('\n').find((candidate) => candidate.startsWith('[{"name":'));
  const agents = described.safeParse(parseJson(line ?? '')).data ?? [];
  return new Map(agents.map(({ name, description = '' }) => [name, description]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
