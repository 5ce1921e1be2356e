import type { Logger } from 'pino';
import type { Viewer } from '../../auth/viewer.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { observeToolCall } from '../../telemetry/tool-call.ts';
import { invalidArguments, readArguments } from '../parameters/arguments.ts';
import { lazyCheck } from '../parameters/check.ts';
import { listRenamed, restoreNames } from '../parameters/property-names.ts';
import { refuseRoles, type Tool, type ToolContext, type ToolDescription } from './tool.ts';

type Arguments = Readonly<Record<string, unknown>>;

/** Either what a call needs, or why it cannot be made: an error for the model. */
export type Prepared<Request> = { readonly request: Request } | { readonly error: string };

/** What a kind of tool does differently from the others. */
export interface ToolKind<Request> {
  readonly hashDefinition: () => string;
  /** Makes the request of a call out of arguments that fit the schema. */
  readonly prepare: (args: Arguments) => Prepared<Request>;
  readonly send: (request: Request, context: ToolContext) => Promise<ToolOutcome>;
}

/**
 * A tool whose calls are checked in one order: the viewer's roles, the arguments' size, their schema, then what its kind
 * needs. Arguments that nearly fit the schema are changed so that they do. `check` and `call` find the same errors.
 */
export function toolOf<Request>(
  description: ToolDescription,
  { hashDefinition, prepare, send }: ToolKind<Request>,
  logger: Logger,
): Tool {
  const { name, parameters, requiredRoles } = description;
  const check = lazyCheck(parameters, (why) => logger.warn({ tool: name, why }, 'a schema is not enforced'));
  const renamed = listRenamed(parameters);
  const prepareCall = (args: unknown, viewer: Viewer): Prepared<Request> => {
    const refusal = refuseRoles(viewer, requiredRoles);
    if (refusal !== null) return { error: refusal };
    const read = readArguments(args);
    if (read === null) return { error: invalidArguments };
    const checked = check(restoreNames(read, renamed));
    return 'error' in checked ? checked : prepare(checked.args);
  };
  return {
    ...description,
    hashDefinition,
    check(args, viewer) {
      const prepared = prepareCall(args, viewer);
      return 'error' in prepared ? prepared.error : null;
    },
    async call(args, context) {
      const prepared = prepareCall(args, context.viewer);
      if ('error' in prepared) return { ok: false, error: prepared.error };
      return observeToolCall({ ...description, ...context, arguments: args }, () => send(prepared.request, context));
    },
  };
}
