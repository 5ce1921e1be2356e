import type { Guarded } from '../engine/guard.ts';
import { type CheckOptions, checkValue } from './check-text.ts';
import { mapArguments } from './json-texts.ts';
import { mapJson } from './map-json.ts';
import type { PlannedGuardrail } from './planned.ts';

/** A message with all in it that a model is given. */
export interface MessageTexts {
  readonly content: string;
  readonly attachments: readonly {
    readonly name: string;
    readonly url: string;
    /** What stands in it; unset: nothing that is known. */
    readonly text?: string;
  }[];
  readonly toolCalls?: readonly {
    readonly arguments: string;
    readonly result: unknown;
    readonly error: string | null;
  }[];
}

/**
 * Checks a message before it is stored: its text, the names, addresses and texts of its attachments, and the arguments, results and
 * errors of its tool calls. What REDACT guardrails find is replaced in all of them.
 * @throws the signal's reason if it is aborted
 */
export function checkMessage<Message extends MessageTexts>(
  guards: readonly PlannedGuardrail[],
  message: Message,
  options: CheckOptions,
): Promise<Guarded<Message>> {
  return checkValue<Message>(guards, { value: message, mapTexts: mapMessage, write: writeMessage }, options);
}

function mapMessage<Message extends MessageTexts>(message: Message, map: (text: string) => string): Message {
  const { content, attachments, toolCalls } = message;
  return {
    ...message,
    content: map(content),
    attachments: attachments.map((attachment) => ({
      ...attachment,
      name: map(attachment.name),
      url: map(attachment.url),
      ...(attachment.text !== undefined && { text: map(attachment.text) }),
    })),
    ...(toolCalls && {
      toolCalls: toolCalls.map((call) => ({
        ...call,
        arguments: mapArguments(call.arguments, map),
        result: mapJson(call.result, map),
        error: call.error === null ? null : map(call.error),
      })),
    }),
  };
}

/** As one text, for those who are asked about the whole: they see the end of a long one, so that it ends with the message itself. */
function writeMessage({ content, attachments, toolCalls = [] }: MessageTexts): string {
  const texts = attachments.flatMap(({ text = '' }) => (text === '' ? [] : [text]));
  const lines = attachments.map(({ name, url }) => `[attachment: ${name} ${url}]`);
  const calls = toolCalls.length === 0 ? [] : [JSON.stringify(toolCalls)];
  return [...texts, ...calls, content, ...lines].join('\n');
}
