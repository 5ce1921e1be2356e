const texts: Readonly<Record<string, string>> = {
  INPUT: 'the message',
  OUTPUT: 'the answer',
  TOOL_INPUT: 'what a tool was to be sent',
  TOOL_OUTPUT: 'what a tool has returned',
};

/** What a guardrail has found. */
export interface Finding {
  readonly guardrail: string;
  /** Which text was checked: `GuardrailStage`. */
  readonly stage: string;
  /** What has happened with the text: a `ModerationAction`. */
  readonly action: string;
}

/** What a guardrail has found, and what has happened with the text, as a sentence. */
export function describeFinding({ guardrail, stage, action }: Finding): string {
  const text = texts[stage] ?? 'a text';
  const what =
    { BLOCK: `has blocked ${text}`, REDACT: `has replaced a part of ${text}` }[action] ?? `has flagged ${text}`;
  return `The guardrail ${guardrail} ${what}.`;
}
