import { LRUCache } from 'lru-cache';
import { fingerprint, type McpDefinition } from './config.ts';
import { McpLink } from './link.ts';
import type { McpNetwork } from './transport.ts';

/** A connection that nobody has used for so long is closed. */
const maxUnusedMs = 600_000;
const sweepEveryMs = 60_000;
const maxLinks = 1_000;

/** The connections to MCP servers: one for each server, and each tenant has its own. One pool for the process. */
export class McpPool {
  readonly #network: McpNetwork;
  /** The least recently used is closed if there are too many, after its calls in progress. */
  readonly #links = new LRUCache<string, McpLink>({ max: maxLinks, dispose: (link) => this.#end(link) });
  /** Those that are being closed. */
  readonly #ending = new Map<McpLink, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(network: McpNetwork) {
    this.#network = network;
    this.#timer = setInterval(() => this.#sweep(), sweepEveryMs);
    this.#timer.unref();
  }

  /** The link to a server. It connects when it is first used. */
  linkTo(definition: McpDefinition): McpLink {
    const key = fingerprint(definition);
    const known = this.#links.get(key);
    if (known) return known;
    const link = new McpLink(definition, this.#network);
    if (this.#closed) this.#end(link);
    else this.#links.set(key, link);
    return link;
  }

  /** Closes the connections of a tenant to servers that are not among these. A call in progress still gets its answer. */
  keepOnly(tenantId: string, definitions: readonly McpDefinition[]): void {
    const wanted = new Set(definitions.map(fingerprint));
    for (const [key, link] of [...this.#links.entries()]) {
      if (link.definition.tenantId === tenantId && !wanted.has(key)) this.#links.delete(key);
    }
  }

  /** Closes all of them, and ends all processes that were started. Calls in progress fail. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#links.clear();
    await Promise.all([...this.#ending].flatMap(([link, ended]) => [link.close(), ended]));
  }

  #end(link: McpLink): void {
    const ended = (this.#closed ? link.close() : link.retire()).finally(() => this.#ending.delete(link));
    this.#ending.set(link, ended);
  }

  /** The tools of an unused server stay known: the next turn starts with them, while it is connected again. */
  #sweep(): void {
    for (const link of this.#links.values()) if (link.unusedMs > maxUnusedMs) void link.disconnect();
  }
}
