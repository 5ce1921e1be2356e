import { renderCall } from './call-view.ts';
import { element } from './dom.ts';
import { Markdown } from './markdown.ts';
import type { StoredMessage } from './session.ts';
import { renderAuthor, renderQuestion } from './turn-view.ts';

/** A message of an earlier turn. */
export function renderStored({ role, content, agent, toolCalls }: StoredMessage): HTMLElement {
  if (role === 'USER') return element('li', { class: 'turn' }, renderQuestion(content));
  const item = element('li', { class: 'turn' }, ...toolCalls.map(renderCall));
  if (content === '') return item;
  const text = new Markdown();
  text.show(content);
  item.prepend(element('div', { class: 'answer' }, renderAuthor(agent?.name ?? ''), text.node));
  return item;
}
