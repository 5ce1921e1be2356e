/** How an answer ended, by the reason that its provider gave. */
export type AnswerEnd = 'complete' | 'cut' | 'filtered' | 'failed';

const complete =
  /^(stop|stop_?sequence|end|end_?of_?(turn|text|sequence)|end_?turn|eos|eos_?token|completed?|finish(ed)?|done|success|tool_?calls?|tool_?use|function_?calls?)$/;
const filtered =
  /filter|safety|recitation|block|prohibited|spii|refus|sensitive|moderat|policy|guardrail|copyright|censor/;
const cut = /length|max_?(output_?|completion_?|new_?|model_?)?tokens|(token|output)_?limit|truncat|context_?window/;

/**
 * What a finish reason means. Providers have words of their own (SAFETY, eos, max_tokens, network_error …). An unknown
 * word is a failure, because the answer may be incomplete: nothing is taken for complete that does not say so.
 * @param reason as the provider wrote it
 * @returns null: it is not a reason. Some servers write "" or "null" in every chunk.
 */
export function readFinishReason(reason: unknown): AnswerEnd | null {
  if (typeof reason !== 'string') return null;
  const word = reason
    .trim()
    .toLowerCase()
    .replace(/[\s.-]+/g, '_');
  if (word === '' || word === 'null' || word === 'none') return null;
  if (complete.test(word)) return 'complete';
  if (filtered.test(word)) return 'filtered';
  return cut.test(word) ? 'cut' : 'failed';
}
