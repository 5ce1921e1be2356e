import { fingerprint, type McpDefinition } from './config.ts';
import { McpLink } from './link.ts';
import type { McpNetwork } from './transport.ts';

/** A connection that nobody has used for so long is closed. */
const idleMs = 600_000;
const sweepEveryMs = 60_000;
const maxLinks = 1_000;

/** The connections to MCP servers: one for a server, and for each tenant its own. One pool for the process. */
export class McpPool {
  readonly #reach: McpNetwork;
  readonly #links = new Map<string, McpLink>();
  readonly #closing = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(reach: McpNetwork) {
    this.#reach = reach;
    this.#timer = setInterval(() => this.#sweep(), sweepEveryMs);
    this.#timer.unref();
  }

  /** The connection to a server, which is made when it is first used. */
  linkTo(definition: McpDefinition): McpLink {
    const key = fingerprint(definition);
    const link = this.#links.get(key) ?? new McpLink(definition, this.#reach);
    // The last in the map is the one that was used last.
    this.#links.delete(key);
    this.#links.set(key, link);
    if (this.#closed) this.#drop(key, link);
    else if (this.#links.size > maxLinks) this.#dropFirst();
    return link;
  }

  /** Closes the connections of a tenant to what its servers are no more. A call that is on its way gets its answer. */
  keepOnly(tenantId: string, definitions: readonly McpDefinition[]): void {
    const kept = new Set(definitions.map(fingerprint));
    for (const [key, link] of this.#links) {
      if (link.definition.tenantId === tenantId && !kept.has(key) && !link.busy) this.#drop(key, link);
    }
  }

  /** Closes all of them, and ends all processes that were started. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const [key, link] of this.#links) this.#drop(key, link);
    await Promise.all(this.#closing);
  }

  #dropFirst(): void {
    const [first] = [...this.#links].filter(([, link]) => !link.busy);
    if (first) this.#drop(...first);
  }

  #drop(key: string, link: McpLink): void {
    this.#links.delete(key);
    const closing = link.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** The tools of an idle server stay known: the next turn begins with them, while it is connected again. */
  #sweep(): void {
    for (const link of this.#links.values()) {
      if (!link.busy && performance.now() - link.usedAt > idleMs) void link.disconnect();
    }
  }
}
