import type { Turn, TurnCall, TurnGuardrail, TurnMessage, TurnState } from '@switchboard/client';
import { renderApproval, renderCall } from './call-view.ts';
import { button, element } from './dom.ts';
import { Markdown } from './markdown.ts';
import { renderNotice } from './notice-view.ts';

/** What a turn tells the dock in which it is shown. */
export interface TurnWatcher {
  /** Something grew. */
  readonly changed: (state: TurnState) => void;
  /** A screen reader should say this. */
  readonly announce: (text: string) => void;
  /** What had the focus is gone. */
  readonly focusLost: () => void;
}

/** A turn as elements: each of its steps is added when it is first seen, and changed in its place. */
export class TurnView {
  readonly node = element('li', { class: 'turn' });
  readonly turn: Turn;
  readonly #watcher: TurnWatcher;
  readonly #end = element('div', { class: 'end' });
  readonly #shown = new Map<string, { node: HTMLElement; of: unknown; text?: Markdown }>();
  #status: string | null = null;
  #stop: () => void;

  constructor(turn: Turn, watcher: TurnWatcher) {
    this.turn = turn;
    this.#watcher = watcher;
    this.node.append(this.#end);
    this.#stop = turn.subscribe(() => this.#update());
    this.#update();
  }

  /** Leaves the turn, which goes on at the server. */
  leave(): void {
    this.#stop();
    this.turn.leave();
  }

  #update(): void {
    const state = this.turn.getState();
    const { userMessage, handoffs, toolCalls, messages, guardrails } = state;
    if (userMessage) this.#put('question', userMessage.content, () => renderQuestion(userMessage.content));
    for (const { id, from, to } of handoffs) {
      this.#put(`handoff ${id}`, to, () => element('p', { class: 'note' }, `${from} handed over to ${to}`));
    }
    for (const found of guardrails) this.#putNotice(found);
    for (const call of toolCalls) this.#putCall(call);
    for (const message of messages) this.#putMessage(message);
    this.#showEnd(state);
    this.#watcher.changed(state);
  }

  /** Puts a step in its place, anew if what it shows has changed. */
  #put(key: string, of: unknown, render: () => HTMLElement): void {
    const known = this.#shown.get(key);
    if (known?.of === of) return;
    const node = render();
    if (known) known.node.replaceWith(node);
    else this.#end.before(node);
    this.#shown.set(key, { node, of });
  }

  #putCall(call: TurnCall): void {
    const key = `call ${call.id}`;
    const known = this.#shown.get(key);
    const hadFocus = known !== undefined && known.of !== call && known.node.contains(focusedIn(known.node));
    const isOpen = known?.node instanceof HTMLDetailsElement && known.node.open;
    const waits = call.needsApproval && call.status === 'AWAITING_APPROVAL';
    this.#put(key, call, () => {
      if (waits) this.#watcher.announce(`${call.name} needs your approval.`);
      if (waits) return renderApproval(call, (approve, args) => this.turn.approve(call.id, approve, args));
      const made = renderCall(call);
      made.toggleAttribute('open', isOpen);
      return made;
    });
    if (hadFocus) this.#watcher.focusLost();
  }

  #putNotice({ guardrail, stage, action, reasoning }: TurnGuardrail): void {
    // The same is said once.
    this.#put(`guardrail ${guardrail} ${stage} ${action}`, action, () => {
      const notice = renderNotice({ guardrail, stage, action }, reasoning);
      this.#watcher.announce(notice.textContent);
      return notice;
    });
  }

  #putMessage(message: TurnMessage): void {
    if (message.text === '') return;
    const key = `message ${message.id}`;
    const known = this.#shown.get(key);
    if (known?.of === message) return;
    const text = known?.text ?? new Markdown();
    const node = known?.node ?? element('div', { class: 'answer' }, renderAuthor(message.agent), text.node);
    text.show(message.text);
    node.toggleAttribute('data-writing', !message.isComplete);
    if (!known) this.#end.before(node);
    this.#shown.set(key, { node, of: message, text });
    // Word by word, nobody could bear it.
    if (message.isComplete) this.#watcher.announce(text.node.innerText);
  }

  #showEnd(state: TurnState): void {
    const { status, error, queuePosition, messages } = state;
    const isWriting = messages.some(({ isComplete, text }) => !isComplete && text !== '');
    const shown = `${status} ${isWriting} ${queuePosition} ${error?.message}`;
    if (shown === this.#status) return;
    this.#status = shown;
    this.#end.replaceChildren();
    if (status === 'QUEUED') this.#end.append(element('p', { class: 'note' }, `${queuePosition} in the queue`));
    if (['CONNECTING', 'RUNNING'].includes(status) && !isWriting) {
      this.#end.append(element('p', { class: 'dots' }, element('span', { class: 'hidden' }, 'Working')));
    }
    if (status === 'CANCELLED') this.#end.append(element('p', { class: 'note' }, 'Stopped'));
    if (!error) return;
    const problem = element('div', { class: 'problem', role: 'alert' }, element('p', {}, error.message));
    if (status === 'LOST') problem.append(button('Connect again', 'plain', () => this.turn.resume()));
    this.#end.append(problem);
  }
}

/** What a person wrote. */
export function renderQuestion(text: string): HTMLElement {
  return element('p', { class: 'question', dir: 'auto' }, text);
}

/** Who writes an answer. */
export function renderAuthor(agent: string): HTMLElement {
  return element('p', { class: 'author' }, agent || 'Agent');
}

/** What has the focus in the shadow tree of a node. */
function focusedIn(node: HTMLElement): Element | null {
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? root.activeElement : null;
}
