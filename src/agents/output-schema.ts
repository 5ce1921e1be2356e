import { z } from 'zod';
import { json } from '../api/input.ts';
import { parseExactJson } from '../engine/exact-json.ts';
import { isDeeperThan, isRecord } from '../engine/json.ts';
import type { CheckedOutput } from '../engine/ports.ts';
import { cleanJson } from '../engine/tool-result.ts';
import { cutFence } from '../providers/llm/structured-output.ts';
import { compileParameters } from '../tools/parameters/check.ts';
import { maxJsonLength, SchemaUnsupportedError } from '../tools/parameters/schema-bounds.ts';
import { writeSchemaForModels } from '../tools/parameters/schema-for-models.ts';

/** Characters of an answer that is JSON, and how deep it may be nested. */
const maxAnswerLength = 262_144;
const maxAnswerDepth = 40;

/** The output schema of an agent as an input has it: compiled once, and written for models once. */
export const outputSchemaInput = json(maxJsonLength)
  .refine(isRecord, 'must be a JSON Schema: a JSON object')
  .superRefine((schema, context) => {
    // Zod also runs this if the refinement before it failed.
    if (!isRecord(schema)) return;
    try {
      compileParameters(schema, { strict: true });
      writeSchemaForModels(schema, 'json-schema');
    } catch (error) {
      if (!(error instanceof SchemaUnsupportedError)) throw error;
      context.addIssue({ code: 'custom', message: error.message.replace('that arguments can', 'that answers can') });
    }
  });

const storedSchema = z.record(z.string(), z.unknown());

/** The output schema of a stored agent; undefined: it has none, or what is stored is no object. */
export function readOutputSchema(stored: unknown): Readonly<Record<string, unknown>> | undefined {
  return stored === null ? undefined : storedSchema.safeParse(stored).data;
}

/** Checks an answer against the output schema of its agent. What nearly fits is returned as it should have been. */
export function checkAnswer(schema: Readonly<Record<string, unknown>>, text: string): CheckedOutput {
  if (text.length > maxAnswerLength) return { ok: false, problem: `It is longer than ${maxAnswerLength} characters.` };
  // Before it is parsed: what walks it must not overflow its stack.
  if (isDeeperThan(text, maxAnswerDepth))
    return { ok: false, problem: `It is nested deeper than ${maxAnswerDepth} levels.` };
  const parsed = parse(cutFence(text));
  if (!isRecord(parsed)) return { ok: false, problem: 'It is not one JSON object.' };
  const json = JSON.stringify(parsed);
  const clean = cleanJson(json);
  if (!isRecord(clean)) return { ok: false, problem: 'It is not one JSON object.' };
  const checked = check(schema, clean);
  if ('error' in checked) {
    const problem = checked.error.replace(/^The arguments/, 'It').replace(/^It do not/, 'It does not');
    return { ok: false, problem: problem.replaceAll(/\barguments(?=[.\s])/g, 'answer') };
  }
  return { ok: true, data: checked.args };
}

/** A number that would be rounded, such as a long id, is a text of its digits: it is data of somebody's, and no estimate. */
function parse(json: string): unknown {
  try {
    return parseExactJson(json).value;
  } catch {
    return undefined;
  }
}

/** A schema that was written into its row by hand may be one that nothing can be checked against. */
function check(schema: Readonly<Record<string, unknown>>, answer: Readonly<Record<string, unknown>>) {
  try {
    return compileParameters({ ...schema }, { strict: false })(answer);
  } catch (error) {
    if (!(error instanceof SchemaUnsupportedError)) throw error;
    return { error: 'The output schema of the agent cannot be used.' };
  }
}
