import { readNumber } from '../parts/json.ts';

/** What an HTTP tool and an MCP server have in common, as it stands in a form. */
export interface EndpointDraft {
  readonly name: string;
  readonly url: string;
  /** `Name: value` in each line. */
  readonly headers: string;
  /** A secret header to be added or replaced: nobody can read those that are stored. */
  readonly secretName: string;
  readonly secretValue: string;
  /** Names of stored secret headers to be removed. */
  readonly removed: readonly string[];
  /** One in each line. */
  readonly roles: string;
  readonly requiresApproval: boolean;
  readonly isActive: boolean;
  readonly timeoutMs: string;
  readonly maxResultLength: string;
}

interface StoredEndpoint {
  readonly name: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly requiredRoles: readonly string[];
  readonly requiresApproval: boolean;
  readonly isActive: boolean;
  readonly timeoutMs: number;
  readonly maxResultLength: number;
}

/** A stored one, or a new one, as its form begins. */
export function draftEndpoint(stored: StoredEndpoint | null): EndpointDraft {
  return {
    name: stored?.name ?? '',
    url: stored?.url ?? '',
    headers: stored?.headers.map(({ name, value }) => `${name}: ${value}`).join('\n') ?? '',
    secretName: '',
    secretValue: '',
    removed: [],
    roles: stored?.requiredRoles.join('\n') ?? '',
    requiresApproval: stored?.requiresApproval ?? false,
    isActive: stored?.isActive ?? true,
    timeoutMs: String(stored?.timeoutMs ?? '10000'),
    maxResultLength: String(stored?.maxResultLength ?? '20000'),
  };
}

/** What is saved of it. Secret headers that are not named stay; one without a value is removed. */
export function readEndpoint(draft: EndpointDraft) {
  const { name, url, secretName, secretValue, requiresApproval, isActive } = draft;
  const isSet = secretName.trim() !== '' || secretValue !== '';
  return {
    name: name.trim(),
    url: url.trim(),
    requiresApproval,
    isActive,
    headers: readLines(draft.headers).map(readHeader),
    secretHeaders: [
      ...draft.removed.map((removed) => ({ name: removed, value: null })),
      ...(isSet ? [{ name: secretName.trim(), value: secretValue }] : []),
    ],
    requiredRoles: readLines(draft.roles),
    timeoutMs: readNumber(draft.timeoutMs),
    maxResultLength: readNumber(draft.maxResultLength),
  };
}

function readHeader(line: string): { name: string; value: string } {
  const [name = '', ...value] = line.split(':');
  return { name: name.trim(), value: value.join(':').trim() };
}

const readLines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
