import { describeFinding, type Finding } from '../../web/src/guardrail-words.ts';
import { element } from './dom.ts';

/** What a guardrail has found, and what has happened with the text. */
export function renderNotice(found: Finding, reasoning: string | null): HTMLElement {
  const notice = element('p', { class: 'notice' }, element('bdi', {}, describeFinding(found)));
  if (reasoning) notice.append(' ', element('bdi', {}, reasoning));
  return notice;
}
