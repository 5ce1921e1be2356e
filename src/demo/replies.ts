import type { HistoryItem, RequestedCall } from '../engine/ports.ts';
import { describeContext } from './context.ts';
import { chooseHandoff, chooseTools, findOrderNumber, type Topic, topicsOf } from './intents.ts';
import { judge } from './judge.ts';
import { describePassages, isCited } from './passages.ts';
import { routeTo } from './router.ts';
import { sampleOf } from './sample.ts';
import type { ReceivedRequest, ScriptedStep } from './steps.ts';

const signature = "I am Switchboard's demo model, a script that stands in for a real one.";

/** A call of this turn with what came of it. */
interface AnsweredCall {
  readonly call: RequestedCall;
  readonly output: string;
}

/**
 * What the demo model answers: a handoff where another agent is the better one, then the tools that the question
 * asks for, then a text about what they said. The same request always gets the same answer.
 */
export function replyTo(request: ReceivedRequest): ScriptedStep {
  const verdict = judge(request);
  if (verdict !== undefined) return { text: JSON.stringify(verdict) };
  const route = routeTo(request);
  if (route !== undefined) return { text: JSON.stringify(route) };
  const question = request.messages.findLastIndex((message) => message.role === 'user');
  const asked = request.messages[question];
  const text = asked?.role === 'user' ? asked.content : '';
  const seen = describeContext(request, text);
  if (seen !== undefined) return { text: `${signature} ${seen}` };
  const answered = readAnswers(request.messages.slice(question + 1));

  // One handoff and one round of tools in a turn: whatever comes back, the turn ends.
  if (!answered.some(isHandoff)) {
    const handoff = chooseHandoff(request, text);
    if (handoff !== undefined) return { calls: [handoff] };
  }
  const results = answered.filter((entry) => !isHandoff(entry));
  if (results.length === 0) {
    const calls = chooseTools(request, text);
    if (calls.length > 0) return { calls };
  }
  const found = results.flatMap((result) => describePassages(result, text) ?? []);
  const others = results.filter((result) => describePassages(result, text) === undefined);
  const topics = found.some(isCited) ? [] : describeTopics(request, text, results);
  const parts = [signature, ...found, ...others.map(describeResult), ...topics];
  const sample = sampleOf(request, parts.join(' '));
  return { text: sample === undefined ? parts.join(' ') : JSON.stringify(sample) };
}

function isHandoff(entry: AnsweredCall): boolean {
  return entry.call.name.startsWith('transfer_to_');
}

function readAnswers(messages: readonly HistoryItem[]): AnsweredCall[] {
  const calls = messages.flatMap((message) => (message.role === 'assistant' ? message.calls : []));
  return messages.flatMap((message) => {
    if (message.role !== 'tool') return [];
    const call = calls.find((candidate) => candidate.id === message.callId);
    return call === undefined ? [] : [{ call, output: message.output }];
  });
}

/** A sentence about what a tool answered: in words for an order, as it is for the rest. */
function describeResult({ call, output }: AnsweredCall): string {
  const fields = readFields(output);
  if (call.name === 'lookup_order' && fields !== undefined && fields.status !== undefined) {
    const { number, item, status, total, eta } = fields;
    const named = number === undefined ? 'the order' : `order ${number}`;
    return [
      `I looked up ${named}${item === undefined ? '' : ` (${item})`}: it is ${status}`,
      eta === undefined ? '' : `, expected ${eta}`,
      total === undefined ? '' : `, for a total of ${total}`,
      '.',
    ].join('');
  }
  if (call.name === 'refund_order' && fields !== undefined) {
    const { number, total, error } = fields;
    if (error !== undefined)
      return `The refund did not happen. ${error} Another one of the demo’s orders, 1042 to 1049, may do.`;
    return `Order ${number} is refunded${total === undefined ? '' : `: ${total}`}.`;
  }
  if (call.name === 'save_contact' && fields?.contactId !== undefined) {
    return `I saved the contact ${fields.name ?? fields.email ?? fields.phone} (${fields.contactId}).`;
  }
  if (call.name === 'save_draft' && fields?.version !== undefined) {
    return `I saved the draft ${fields.key}, version ${fields.version}.`;
  }
  if (call.name === 'create_ticket' && fields?.number !== undefined) {
    return `I opened ticket ${fields.number}: ${fields.subject} (${fields.id}).`;
  }
  const flat = output.replaceAll(/\s+/gu, ' ').trim();
  const shown = flat.length > 300 ? `${flat.slice(0, 300).toWellFormed()}…` : flat;
  if (call.name === 'current_time') return `The clock says: ${shown}.`;
  return `The tool ${call.name} answered: ${shown}.`;
}

/** The plain values of a JSON object, by name. */
function readFields(output: string): Readonly<Record<string, string>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value).filter(([, field]) => typeof field === 'string' || typeof field === 'number');
  return Object.fromEntries(entries.map(([name, field]) => [name, String(field)]));
}

const remarks: Readonly<Record<Topic, string>> = {
  orders: 'Give me an order number, such as 1042, and I look up where it is.',
  billing: 'About money: an unused item can be refunded within 30 days, and the refund takes five working days.',
  human: 'A colleague made of flesh and blood would read this conversation and write to you here.',
};

function describeTopics(request: ReceivedRequest, text: string, results: readonly AnsweredCall[]): string[] {
  const refunded = results.some(({ call }) => call.name === 'refund_order');
  const topics = topicsOf(text).filter((topic) =>
    topic === 'orders' ? results.length === 0 : topic !== 'billing' || !refunded,
  );
  const number = findOrderNumber(request, text);
  // It was given a number, and has called nothing.
  const ordersRemark =
    number === undefined
      ? remarks.orders
      : `You ask about order ${number}: the agent that I speak for has no tool to look it up, and hands it to nobody.`;
  if (topics.length > 0) return topics.map((topic) => (topic === 'orders' ? ordersRemark : remarks[topic]));
  if (results.length > 0) return [];
  const turn = request.messages.filter((message) => message.role === 'user').length;
  const said = text.trim() === '' ? 'You said nothing.' : `You said: "${shorten(text.trim())}"`;
  return [
    said,
    `This is turn ${turn} of our conversation.`,
    'Ask me about order 1042, a refund, or the time, to see tools and handoffs.',
    'For a real model, start the server with OPENAI_API_KEY or OPENAI_BASE_URL.',
  ];
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 119).toWellFormed()}…` : text;
}
