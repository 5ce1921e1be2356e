/** Sends a document to the GraphQL endpoint of Switchboard, with the access token of the user. */
export type Ask = (document: string, variables: object) => Promise<Record<string, unknown>>;

/** What the call needs to know of an agent: `initialAgents` of the session. */
export interface VoiceAgent {
  readonly name: string;
  readonly instructions: string;
  readonly transferTool: string;
  readonly handoffs: readonly string[];
  readonly tools: readonly {
    readonly name: string;
    readonly description: string;
    readonly parameters: unknown;
    readonly requiresApproval: boolean;
  }[];
}

/** An item of the transcript, as recordRealtimeItems takes it. */
interface Item {
  readonly itemId: string;
  readonly role: 'USER' | 'ASSISTANT';
  readonly content: string;
  readonly agentName: string;
  readonly at: string;
}

/** An event of the provider; only what is used here. */
interface ProviderEvent {
  readonly type: string;
  readonly item?: { readonly id: string };
  readonly item_id?: string;
  readonly transcript?: string;
  readonly name?: string;
  readonly call_id?: string;
  readonly arguments?: string;
}

const record = `mutation Record($sessionId: ID!, $items: [RealtimeItemInput!]!) {
  recordRealtimeItems(sessionId: $sessionId, items: $items) { id status }
}`;
const execute = `mutation Execute($input: ExecuteToolInput!) {
  executeTool(input: $input) { ok result error }
}`;

/** How long items are collected before they are sent, in milliseconds. */
const collectMs = 500;
const maxItems = 100;

/**
 * What a browser does during a call: it records the transcript, carries out the calls of the voice agent, and switches the
 * agent. Give it every event of the data channel, and every `AgentSwitched` of the conversation.
 */
export class VoiceCall {
  readonly #ask: Ask;
  readonly #send: (event: object) => void;
  readonly #sessionId: string;
  readonly #agents: ReadonlyMap<string, VoiceAgent>;
  readonly #approve: (tool: string, args: string) => Promise<boolean>;
  #active: string;
  /** When each item was created, and who was speaking then: its transcript may be complete much later. */
  readonly #created = new Map<string, { readonly at: string; readonly agentName: string }>();
  #last = 0;
  #waiting: Item[] = [];
  #sending: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param options.approve asks the user whether a tool that `requiresApproval` may be called */
  constructor(options: {
    readonly ask: Ask;
    readonly send: (event: object) => void;
    readonly sessionId: string;
    readonly agents: readonly VoiceAgent[];
    readonly approve: (tool: string, args: string) => Promise<boolean>;
  }) {
    this.#ask = options.ask;
    this.#send = options.send;
    this.#sessionId = options.sessionId;
    this.#agents = new Map(options.agents.map((agent) => [agent.name, agent]));
    this.#active = options.agents[0]?.name ?? '';
    this.#approve = options.approve;
  }

  /** The name of the agent that speaks. */
  get activeAgent(): string {
    return this.#active;
  }

  /** Takes an event of the data channel. */
  async take(event: ProviderEvent): Promise<void> {
    const { type, item, item_id: itemId, transcript } = event;
    if (type === 'conversation.item.added' && item) this.#note(item.id);
    if (itemId === undefined || transcript === undefined) {
      if (type === 'response.function_call_arguments.done') await this.#call(event);
      return;
    }
    if (type === 'conversation.item.input_audio_transcription.completed') this.#add('USER', itemId, transcript);
    if (type === 'response.output_audio_transcript.done') this.#add('ASSISTANT', itemId, transcript);
  }

  /**
   * Another agent speaks from now on: because this call has handed over, or because `AgentSwitched` says so. Gives the provider
   * the instructions and tools of that agent.
   */
  switchTo(name: string): void {
    const agent = this.#agents.get(name);
    if (!agent || name === this.#active) return;
    this.#active = name;
    const transfers = agent.handoffs.flatMap((other) => this.#agents.get(other) ?? []);
    const tools = [
      ...agent.tools.map(({ name, description, parameters }) => ({ type: 'function', name, description, parameters })),
      ...transfers.map((other) => ({
        type: 'function',
        name: other.transferTool,
        description: `Hands the conversation over to ${other.name}.`,
        parameters: { type: 'object', properties: {} },
      })),
    ];
    this.#send({ type: 'session.update', session: { type: 'realtime', instructions: agent.instructions, tools } });
  }

  /** Sends what has been collected. Call it before the call ends. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    const items = this.#waiting.sort((a, b) => a.at.localeCompare(b.at)).splice(0, maxItems);
    if (items.length === 0) return this.#sending;
    // One batch after another. Items are recorded once, so a batch whose answer was lost is sent again.
    this.#sending = this.#sending
      .then(() => this.#ask(record, { sessionId: this.#sessionId, items }))
      .then(
        () => undefined,
        () => void this.#waiting.unshift(...items),
      );
    await this.#sending;
  }

  #note(itemId: string): { readonly at: string; readonly agentName: string } {
    const known = this.#created.get(itemId);
    if (known) return known;
    // No two items have one time: their order is that of their times.
    this.#last = Math.max(Date.now(), this.#last + 1);
    const created = { at: new Date(this.#last).toISOString(), agentName: this.#active };
    this.#created.set(itemId, created);
    return created;
  }

  #add(role: Item['role'], itemId: string, content: string): void {
    if (content.trim() === '') return;
    this.#waiting.push({ itemId, role, content, ...this.#note(itemId) });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), collectMs);
  }

  async #call({ name = '', call_id: callId, arguments: written = '{}' }: ProviderEvent): Promise<void> {
    const target = [...this.#agents.values()].find(({ transferTool }) => transferTool === name);
    if (target) this.switchTo(target.name);
    const output = target ? { ok: true } : await this.#execute(name, written);
    const item = { type: 'function_call_output', call_id: callId, output: JSON.stringify(output) };
    this.#send({ type: 'conversation.item.create', item });
    this.#send({ type: 'response.create' });
  }

  async #execute(name: string, written: string): Promise<unknown> {
    const tool = this.#agents.get(this.#active)?.tools.find((own) => own.name === name);
    if (tool?.requiresApproval && !(await this.#approve(name, written))) {
      return { ok: false, error: 'The user has denied the call.' };
    }
    try {
      const input = { name, arguments: JSON.parse(written) as unknown, realtimeSessionId: this.#sessionId };
      return (await this.#ask(execute, { input })).executeTool;
    } catch {
      return { ok: false, error: 'The call could not be carried out.' };
    }
  }
}
