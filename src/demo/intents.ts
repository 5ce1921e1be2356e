import type { ReceivedRequest, ScriptedCall } from './steps.ts';

/** What the demo model knows to talk about. */
export type Topic = 'orders' | 'billing' | 'human';

const words: Readonly<Record<Topic, RegExp>> = {
  human: /\b(human|person|people|someone|representative|agent|operator|complain\w*)\b/iu,
  orders: /\b(orders?|deliver\w*|shipp?\w*|parcels?|packages?|tracking|arriv\w*)\b|#?\b\d{4,6}\b/iu,
  billing: /\b(invoices?|refund\w*|charg\w*|bill\w*|pay\w*|money|price)\b/iu,
};

/** Which agents are meant by a topic, by words in the names of their transfer tools. */
export const agentWords: Readonly<Record<Topic, RegExp>> = {
  human: /human|escalat|person/iu,
  orders: /order|shipping|delivery/iu,
  billing: /bill|refund|payment|invoice/iu,
};

/** The topics of a text in the order in which they come up; somebody who asks for a human is not kept waiting. */
export function topicsOf(text: string): Topic[] {
  const topics: readonly Topic[] = ['human', 'orders', 'billing'];
  const found = topics.map((topic) => ({ topic, at: topic === 'human' ? -1 : text.search(words[topic]) }));
  return found
    .filter(({ topic }) => words[topic].test(text))
    .sort((a, b) => a.at - b.at)
    .map(({ topic }) => topic);
}

/**
 * The handoff that the text asks for, where one is offered and the agent at hand cannot do it with a tool: by its topic,
 * else by a word that it has in common with what the other agent is called, or is for.
 */
export function chooseHandoff(request: ReceivedRequest, text: string): ScriptedCall | undefined {
  const transfers = request.tools.filter((tool) => tool.startsWith(transferPrefix));
  const call = (name: string, subject: string): ScriptedCall => ({
    name,
    arguments: fillArguments(request, name, { reason: `The user asks about ${subject}.` }),
  });
  for (const topic of topicsOf(text)) {
    if (topic === 'orders' && request.tools.includes('lookup_order')) return undefined;
    const fits = (words: string) => agentWords[topic].test(words);
    const name = transfers.find(fits) ?? transfers.find((tool) => fits(purposeOf(request, tool)));
    if (name !== undefined) return call(name, topic);
  }
  if (chooseTools(request, text).length > 0) return undefined;
  const asked = stemsOf(text);
  const matches = transfers.map((name) => {
    const known = stemsOf(`${name.slice(transferPrefix.length).replaceAll('_', ' ')} ${purposeOf(request, name)}`);
    return { name, shared: [...asked.keys()].filter((stem) => known.has(stem)) };
  });
  // Of equally good ones the first: sorting keeps their order.
  const [best] = matches.sort((a, b) => b.shared.length - a.shared.length);
  const subject = best?.shared[0] === undefined ? undefined : asked.get(best.shared[0]);
  return best === undefined || subject === undefined ? undefined : call(best.name, subject);
}

const transferPrefix = 'transfer_to_';

/** What a handoff is for. Nothing where it is said what it is not for: "Anything else.", "neither … nor …". */
function purposeOf(request: ReceivedRequest, tool: string): string {
  const description = request.toolDescriptions.get(tool) ?? '';
  return /\b(no|not|neither|nor|anything|else)\b/iu.test(description) ? '' : description;
}

/** Words that say nothing of what somebody is for. */
const commonWords = new Set(
  (
    'about after agent also asks been before conversation customer does done dont find from give hands have hello help ' +
    'here into just know like make more need needs other over please question questions said says some something tell ' +
    'than thank thanks that their them then there they thing things this user users want wants what when where which ' +
    'while will with would your'
  ).split(' '),
);

/** The words of a text that say something, by what is left of them without their endings. */
export function stemsOf(text: string): Map<string, string> {
  const said = text.toLowerCase().match(/\p{L}{4,}/gu) ?? [];
  return new Map(
    said.filter((word) => !commonWords.has(word)).map((word) => [word.replace(/s$/u, '').slice(0, 7), word]),
  );
}

/** The tools that the text asks for, of those that are offered. Several are called in one step. */
export function chooseTools(request: ReceivedRequest, text: string): ScriptedCall[] {
  const calls: ScriptedCall[] = [];
  const offer = (name: string, values: Readonly<Record<string, string>>, fallback: string) => {
    if (request.tools.includes(name)) calls.push({ name, arguments: fillArguments(request, name, values, fallback) });
  };
  const number = findOrderNumber(request, text);
  if (number !== undefined) {
    offer('lookup_order', {}, number);
    if (/\brefund\w*|\bmoney back\b/iu.test(text)) offer('refund_order', {}, number);
  }
  const contact = readContact(text);
  if (/\b(save|remember|store|note)\b/iu.test(text) && Object.keys(contact).length > 0)
    offer('save_contact', contact, '');
  const draft = /\bdraft\b[^:]*:\s*(?<content>.+)/isu.exec(text)?.groups?.content;
  if (draft !== undefined) offer('save_draft', { key: 'reply', content: draft.trim() }, '');
  const ticket = readTicket(text);
  if (ticket !== undefined) offer('create_ticket', ticket.values, '');
  if (/\b(time|date|day|clock)\b/iu.test(text)) {
    const zone = /\b[A-Z]\w+\/[A-Z]\w+/u.exec(text)?.[0] ?? 'UTC';
    offer('current_time', { timeZone: zone, timezone: zone, zone }, zone);
  }
  if (/\b(echo|context)\b/iu.test(text)) offer('echo_context', {}, text);
  const question = calls.length === 0 ? text : ticket && calls.length === 1 ? ticket.rest : '';
  if (isQuestion(question)) offer('search_knowledge', { query: question.slice(0, 1_000) }, question);
  return calls;
}

/** Whether a text asks for something that a document may say. */
function isQuestion(text: string): boolean {
  return /\?|^\s*(?:who|what|when|where|why|which|how|can|do|does|is|are|may|tell|explain|search|find)\b/iu.test(text);
}

/**
 * The ticket that a text asks for: what stands after a colon is its subject, else all of the text.
 * @returns `rest`: what the text says besides, if it says something
 */
function readTicket(
  text: string,
): { readonly values: Readonly<Record<string, string>>; readonly rest: string } | undefined {
  const asked = /\b(?:open|create|file|raise|write)\b[^.:?!]*\btickets?\b[^.:?!]*(?::\s*(?<subject>[^\n]+))?/isu.exec(
    text,
  );
  if (asked === null) return undefined;
  const cut = (value: string, length: number) => value.trim().slice(0, length).toWellFormed();
  const rest = text.replace(asked[0], ' ').trim();
  return {
    values: {
      subject: cut(asked.groups?.subject ?? text, 300),
      body: cut(text, 20_000),
      ...(/\burgent(?:ly)?\b/iu.test(text) && { priority: 'URGENT' }),
    },
    rest: stemsOf(rest).size > 0 ? rest : '',
  };
}

/** The name, e-mail address and telephone number that a text gives. */
function readContact(text: string): Readonly<Record<string, string>> {
  const email = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/u.exec(text)?.[0];
  const phone = /\+\d[\d ()/-]{6,20}\d/u.exec(text)?.[0];
  const name = /\b(?:my name is|I am|contact) (?<name>\p{Lu}\p{L}+(?: \p{Lu}\p{L}+)*)/u.exec(text)?.groups?.name;
  if (email === undefined && phone === undefined) return {};
  return {
    ...(name !== undefined && { name }),
    ...(email !== undefined && { email }),
    ...(phone !== undefined && { phone }),
  };
}

/** The order number in the text, or, where it speaks of an order without one, the last one that was named. */
export function findOrderNumber(request: ReceivedRequest, text: string): string | undefined {
  if (!words.orders.test(text)) return undefined;
  const texts = request.messages.flatMap((message) => (message.role === 'user' ? [message.content] : []));
  for (const candidate of [text, ...texts.reverse()]) {
    const number = /\b\d{3,6}\b/u.exec(candidate)?.[0];
    if (number !== undefined) return number;
  }
  return undefined;
}

/**
 * Arguments that fit the tool's schema: the values that have a name in it, and the fallback for whatever else is
 * required, or for the only one. A tool whose schema says nothing is given the values as they are.
 */
function fillArguments(
  request: ReceivedRequest,
  name: string,
  values: Readonly<Record<string, string>>,
  fallback?: string,
): Record<string, unknown> {
  const schema = asRecord(request.toolParameters.get(name));
  const properties = asRecord(schema?.properties);
  if (properties === undefined) return { ...values };
  const required = Array.isArray(schema?.required) ? schema.required : [];
  const filled: Record<string, unknown> = {};
  const onlyOne = Object.keys(properties).length === 1;
  for (const [property, description] of Object.entries(properties)) {
    const value = values[property] ?? (onlyOne || required.includes(property) ? fallback : undefined);
    if (value === undefined) continue;
    const type = asRecord(description)?.type;
    filled[property] = type === 'integer' || type === 'number' ? Number(value) : value;
  }
  return filled;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value));
}
