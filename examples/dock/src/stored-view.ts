import { renderCall } from './call-view.ts';
import { element } from './dom.ts';
import { Markdown } from './markdown.ts';
import { renderNotice } from './notice-view.ts';
import type { StoredMessage } from './session.ts';
import { renderAuthor, renderQuestion } from './turn-view.ts';

/** A message of an earlier turn, with what guardrails have found in it. */
export function renderStored({ role, content, agent, toolCalls, guardrailResults }: StoredMessage): HTMLElement {
  const notices = renderNotices(guardrailResults);
  if (role === 'USER') return element('li', { class: 'turn' }, renderQuestion(content), ...notices);
  const item = element('li', { class: 'turn' }, ...toolCalls.map(renderCall), ...notices);
  if (content === '') return item;
  const text = new Markdown();
  text.show(content);
  item.prepend(element('div', { class: 'answer' }, renderAuthor(agent?.name ?? ''), text.node));
  return item;
}

/** The same is said once. */
function renderNotices(results: StoredMessage['guardrailResults']): readonly HTMLElement[] {
  const notices = new Map<string, HTMLElement>();
  for (const { guardrail, stage, tripwireTriggered, decision } of results) {
    if (!tripwireTriggered) continue;
    const action = decision?.action ?? 'ALLOW';
    const key = `${guardrail} ${stage} ${action}`;
    if (!notices.has(key)) notices.set(key, renderNotice({ guardrail, stage, action }, decision?.reasoning ?? null));
  }
  return [...notices.values()];
}
