import type { McpServerStatus } from '../generated/graphql.ts';
import { Badge } from '../parts/states.tsx';

const states = {
  CONNECTED: ['good', 'connected'],
  CONNECTING: ['plain', 'connecting'],
  FAILED: ['bad', 'failed'],
  NOT_CONNECTED: ['warn', 'not connected'],
} as const;

/** How the connection to an MCP server is. */
export function StatusBadge({ status }: { readonly status: McpServerStatus }) {
  const [tone, words] = states[status];
  return <Badge tone={tone}>{words}</Badge>;
}
