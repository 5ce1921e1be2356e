import { z } from 'zod';
import type { ToolOutcome } from '../engine/ports.ts';
import { type BuiltInTool, builtInTools, type ToolContext } from './builtin.ts';

/** A tool as people and models are told of it. */
export interface ToolDescription {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Record<string, unknown>;
  readonly requiresApproval: boolean;
  readonly source: 'BUILTIN';
  /** Milliseconds after which a call is given up. */
  readonly timeoutMs: number;
}

interface Entry {
  readonly tool: BuiltInTool;
  readonly description: ToolDescription;
}

const entries: ReadonlyMap<string, Entry> = new Map(
  builtInTools.map((tool) => {
    const { $schema: _dialect, ...parameters } = z.toJSONSchema(tool.schema, { io: 'input' });
    const { name, description, timeoutMs } = tool;
    return [
      name,
      { tool, description: { name, description, parameters, requiresApproval: false, source: 'BUILTIN', timeoutMs } },
    ];
  }),
);

/** All tools there are, by name. */
export function listTools(): ToolDescription[] {
  return [...entries.values()].map((entry) => entry.description);
}

/** The tools of these names that there are; names of tools that are gone are passed over. */
export function describeTools(names: readonly string[]): ToolDescription[] {
  return names.flatMap((name) => entries.get(name)?.description ?? []);
}

/**
 * Runs a tool as the viewer of the context.
 * @param args the arguments, parsed but not yet checked
 * @returns the result, or an error written for the model: an unknown tool, or arguments against the schema
 * @throws what the tool throws
 */
export async function callTool(name: string, args: unknown, context: ToolContext): Promise<ToolOutcome> {
  const entry = entries.get(name);
  if (!entry) return { ok: false, error: `There is no tool named ${name}.` };
  const checked = entry.tool.schema.safeParse(args);
  if (!checked.success) {
    return { ok: false, error: `The arguments do not fit the schema. ${z.prettifyError(checked.error)}` };
  }
  return { ok: true, result: await entry.tool.run(args, context) };
}
