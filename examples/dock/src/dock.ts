import type { Turn, TurnState } from '@switchboard/client';
import { element } from './dom.ts';
import { buildPanel, type Panel } from './panel.ts';
import { type PageContext, Session } from './session.ts';
import { renderStored } from './stored-view.ts';
import { sheet } from './styles.ts';
import { renderQuestion, TurnView } from './turn-view.ts';

type Given<Value> = Value | (() => Value | Promise<Value>);

/** Where this script came from: the server is there, too. */
const home = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : location.href;

const properties = ['token', 'context'] as const;

/**
 * `<switchboard-dock>`: a chat at the edge of any page. The page gives it a `token` and, if it likes, a `context`, as properties:
 * neither of them is in the document.
 */
export class Dock extends HTMLElement {
  static readonly observedAttributes = ['label'];
  #token: Given<string> | null = null;
  #context: Given<PageContext | null> = null;
  #session: Session | null = null;
  #views: TurnView[] = [];
  readonly #panel: Panel;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    // A policy of the page against inline styles lets these through.
    root.adoptedStyleSheets = [sheet()];
    this.#panel = buildPanel({
      toggle: () => (this.isOpen ? this.close() : this.open()),
      close: () => this.close(),
      send: (content) => void this.#send(content),
      stop: () => void this.#stop(),
      restart: () => this.#restart(),
    });
    root.append(this.#panel.launcher, this.#panel.node);
  }

  /** An access token, or a function that returns one whenever the dock connects. It can be set and not be read. */
  set token(token: Given<string> | null) {
    this.#token = token;
  }

  /** What `createContextSnapshot` takes, or a function that returns it for each message. */
  get context(): Given<PageContext | null> {
    return this.#context;
  }

  set context(context: Given<PageContext | null>) {
    this.#context = context;
  }

  get isOpen(): boolean {
    return !this.#panel.node.hidden;
  }

  connectedCallback(): void {
    // Properties that the page has set before this class was there.
    for (const name of properties) {
      const given = Object.getOwnPropertyDescriptor(this, name);
      if (given === undefined) continue;
      delete (this as Partial<Record<typeof name, unknown>>)[name];
      Object.assign(this, { [name]: given.value });
    }
    this.#panel.setLabel(this.getAttribute('label') ?? 'Assistant');
    if (this.hasAttribute('open')) this.open();
  }

  disconnectedCallback(): void {
    this.#leaveTurns();
    this.#session?.close();
    this.#session = null;
    this.#panel.node.hidden = true;
  }

  attributeChangedCallback(_name: string, _before: string | null, label: string | null): void {
    this.#panel.setLabel(label ?? 'Assistant');
  }

  /** Shows the conversation. Nothing connects before that. */
  open(): void {
    this.#panel.show();
    if (this.#session === null) void this.#begin();
  }

  /** Hides it. A turn that runs goes on. */
  close(): void {
    this.#panel.hide();
  }

  async #begin(): Promise<void> {
    const agentId = this.getAttribute('agent-id');
    const scenarioKey = this.getAttribute('scenario-key');
    const session = new Session({
      endpoint: new URL(this.getAttribute('endpoint') ?? '/graphql', home).href,
      getToken: async () => (await readGiven(this.#token)) ?? '',
      getContext: () => readGiven(this.#context),
      start: { ...(agentId !== null && { agentId }), ...(scenarioKey !== null && { scenarioKey }) },
      setConnection: (isConnected) => this.#panel.setConnection(isConnected),
    });
    this.#session = session;
    try {
      const { messages, turn } = await session.open();
      if (this.#session !== session) return;
      this.#panel.list.prepend(...messages.map(renderStored));
      if (turn) this.#show(turn);
      this.#panel.toEnd();
    } catch (error) {
      this.#panel.setProblem(describe(error));
    }
  }

  async #send(content: string): Promise<void> {
    const session = this.#session;
    if (session === null) return;
    const pending = element('li', { class: 'turn' }, renderQuestion(content));
    this.#panel.setProblem(null);
    this.#panel.list.append(pending);
    this.#panel.setState('SENDING');
    this.#panel.toEnd();
    try {
      const turn = await session.send(content);
      if (this.#session !== session) return turn.leave();
      pending.remove();
      this.#show(turn);
      this.#panel.toEnd();
    } catch (error) {
      pending.remove();
      this.#panel.setState('IDLE');
      this.#panel.restore(content);
      this.#panel.setProblem(describe(error));
    }
  }

  #show(turn: Turn): void {
    const view = new TurnView(turn, {
      changed: (state) => this.#follow(turn, state),
      announce: (text) => this.#panel.announce(text),
      focusLost: () => this.#panel.focus(),
    });
    this.#views.push(view);
    this.#panel.list.append(view.node);
    this.#follow(turn, turn.getState());
  }

  #follow(turn: Turn, { status }: TurnState): void {
    if (turn !== this.#views.at(-1)?.turn) return;
    const isOver = ['COMPLETED', 'FAILED', 'CANCELLED', 'LOST'].includes(status);
    this.#panel.setState(isOver ? 'IDLE' : 'RUNNING');
    this.#panel.stick();
  }

  async #stop(): Promise<void> {
    await this.#views
      .at(-1)
      ?.turn.stop()
      .catch((error: unknown) => this.#panel.setProblem(describe(error)));
  }

  #restart(): void {
    this.#leaveTurns();
    this.#session?.forget();
    this.#panel.setProblem(null);
    this.#panel.setState('IDLE');
    this.#panel.focus();
  }

  #leaveTurns(): void {
    for (const view of this.#views) view.leave();
    this.#views = [];
    this.#panel.list.replaceChildren();
  }
}

function readGiven<Value>(given: Given<Value>): Value | Promise<Value> {
  // What is given is data, or a function without arguments that returns it.
  return given instanceof Function ? given() : given;
}

function describe(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'The server cannot be reached.';
}
