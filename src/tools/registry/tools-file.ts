import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { list, text } from '../../api/input.ts';
import { readYaml } from '../../api/yaml.ts';
import { fileHeaders } from '../contract/headers.ts';
import { type HttpToolDefinition, isIdempotentByDefault } from '../http/definition.ts';
import type { McpDefinition } from '../mcp/config.ts';
import * as part from './input.ts';

/** The tools that the operator gives to every tenant (TOOLS_FILE). */
export interface OperatorTools {
  readonly httpTools: readonly HttpToolDefinition[];
  readonly mcpServers: readonly McpDefinition[];
}

const noOperatorTools: OperatorTools = { httpTools: [], mcpServers: [] };

const maxFileBytes = 1024 * 1024;

const callFields = {
  timeoutMs: part.timeoutMs.optional(),
  maxResultLength: part.maxResultLength.optional(),
  requiresApproval: z.boolean().optional(),
  requiredRoles: part.requiredRoles.optional(),
};

const httpTool = z
  .strictObject({
    name: part.newToolName,
    description: part.description,
    parameters: part.parameters,
    method: part.httpMethod,
    url: part.templateUrl,
    headers: fileHeaders.optional(),
    isIdempotent: z.boolean().optional(),
    ...callFields,
  })
  .superRefine(({ url, parameters }, context) => {
    const problem = explainUrl(url, parameters);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem, path: ['url'] });
  });

/** Zod also runs the check above with fields that have failed. */
function explainUrl(url: unknown, parameters: unknown): string | null {
  const both = z
    .object({ url: z.string(), parameters: z.record(z.string(), z.unknown()) })
    .safeParse({ url, parameters });
  return both.success ? part.explainPlaceholders(both.data.url, both.data.parameters) : null;
}

const mcpServer = z
  .strictObject({
    name: part.serverName,
    url: part.serverUrl.optional(),
    headers: fileHeaders.optional(),
    command: text(1, 4_096).optional(),
    args: list(text(0, 4_096), 100).optional(),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of a variable'), z.string())
      .optional(),
    cwd: text(1, 4_096).optional(),
    ...callFields,
  })
  .superRefine(({ url, command, headers, args, env, cwd }, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    if ((url === undefined) === (command === undefined)) return refuse('must have either a url or a command');
    if (command !== undefined && headers !== undefined) refuse('has headers, which only a server with a url is sent');
    if (url !== undefined && [args, env, cwd].some((value) => value !== undefined)) {
      refuse('has args, env or cwd, which only a server with a command takes');
    }
  });

const toolsFile = z
  .strictObject({
    version: z.literal(1, { error: 'must be 1' }),
    httpTools: list(httpTool, 500).optional(),
    mcpServers: list(mcpServer, 50).optional(),
  })
  .superRefine((file, context) => {
    for (const key of ['httpTools', 'mcpServers'] as const) {
      const names = (file[key] ?? []).map(({ name }) => name);
      const duplicate = names.findIndex((name, index) => names.indexOf(name) !== index);
      if (duplicate >= 0)
        context.addIssue({ code: 'custom', message: 'is duplicated', path: [key, duplicate, 'name'] });
    }
  });

/**
 * Reads the file of HTTP tools and MCP servers that every tenant is given, as YAML or JSON.
 * @param path null: the operator gives none
 * @throws {Error} that names the file, the place in it and what is wrong there
 */
export async function readToolsFile(path: string | null): Promise<OperatorTools> {
  if (path === null) return noOperatorTools;
  const unusable = (why: string, cause?: unknown) =>
    new Error(`The tools file ${path} cannot be used: ${why}`, { cause });
  let content: unknown;
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new Error(`it has more than ${maxFileBytes} bytes`);
    content = readYaml(await readFile(path, 'utf8'));
  } catch (cause) {
    throw unusable(cause instanceof Error ? cause.message : 'it cannot be read', cause);
  }
  const parsed = toolsFile.safeParse(content);
  if (!parsed.success) {
    throw unusable(
      parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'} ${issue.message}`).join('; '),
    );
  }
  return {
    httpTools: (parsed.data.httpTools ?? []).map((tool) => ({
      ...withDefaults(tool, 10_000),
      name: tool.name,
      description: tool.description,
      parameters: tool.parameters,
      method: tool.method,
      url: tool.url,
      headers: tool.headers ?? {},
      isIdempotent: tool.isIdempotent ?? isIdempotentByDefault(tool.method),
    })),
    mcpServers: (parsed.data.mcpServers ?? []).map((server) => ({
      ...withDefaults(server, 30_000),
      name: server.name,
      tenantId: null,
      address: addressOf(server),
    })),
  };
}

function addressOf(server: z.output<typeof mcpServer>): McpDefinition['address'] {
  const { url, command, headers = {}, args = [], env = {}, cwd = null } = server;
  if (url !== undefined) return { kind: 'http', url, headers, guarded: false };
  return { kind: 'stdio', command: command ?? '', args, env, cwd };
}

interface CallSettings {
  readonly timeoutMs?: number | undefined;
  readonly maxResultLength?: number | undefined;
  readonly requiresApproval?: boolean | undefined;
  readonly requiredRoles?: readonly string[] | undefined;
}

function withDefaults(settings: CallSettings, timeoutMs: number) {
  return {
    timeoutMs: settings.timeoutMs ?? timeoutMs,
    maxResultLength: settings.maxResultLength ?? 20_000,
    requiresApproval: settings.requiresApproval ?? false,
    requiredRoles: settings.requiredRoles ?? [],
  };
}
