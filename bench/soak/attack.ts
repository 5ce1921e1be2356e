import { z } from 'zod';

/** What attackers are told of their target. */
export const attackTarget = z.object({
  /** The address of the server, without a path. */
  url: z.string(),
  /** The tokens of ordinary users of one tenant, who are no admins. */
  tokens: z.array(z.string()).min(4),
  /** A fake provider that never stops, see flooding-provider.ts. */
  providerUrl: z.string(),
  /** How many messages of 100,000 characters the large conversation has. */
  messages: z.int(),
  /** Its id. */
  largeConversation: z.string(),
  /** The id of a run of 800,000 characters that has ended. */
  longRun: z.string(),
});
export type AttackTarget = z.infer<typeof attackTarget>;
/** The same, before what the attacks read was made. */
export type BareTarget = Omit<AttackTarget, 'largeConversation' | 'longRun'>;

/** An attack that runs until `signal` says so; `count` counts what it did, and what came of it. */
export type Attack = (target: AttackTarget, signal: AbortSignal, count: (what: string) => void) => Promise<void>;

const answer = z.object({
  data: z.record(z.string(), z.unknown()).nullish(),
  errors: z.array(z.object({ message: z.string() })).optional(),
});

/** Sends a document as one of the users. @returns its data, or why it was refused */
export async function askAs(
  { url, tokens }: BareTarget,
  user: number,
  query: string,
  variables: object,
  signal: AbortSignal,
): Promise<Record<string, unknown> | string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens[user]}` },
    body: JSON.stringify({ query, variables }),
    signal,
  });
  const { data, errors } = answer.parse(await response.json());
  return errors?.[0]?.message ?? data ?? 'There was no data.';
}

const withId = z.object({ id: z.string() });

/** As `askAs`, for a mutation that returns something with an id. @throws if it was refused */
export async function makeAs(
  target: BareTarget,
  user: number,
  field: string,
  type: string,
  input: object,
  signal: AbortSignal,
): Promise<string> {
  const document = `mutation ($input: ${type}) { ${field}(input: $input) { id } }`;
  const data = await askAs(target, user, document, { input }, signal);
  if (typeof data === 'string') throw new Error(`${field}: ${data}`);
  return withId.parse(data[field]).id;
}
