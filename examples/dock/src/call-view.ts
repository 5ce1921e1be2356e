import type { TurnCall } from '@switchboard/client';
import { button, element, scrolled } from './dom.ts';

const states: Readonly<Record<string, string>> = {
  AWAITING_APPROVAL: 'waits for you',
  CANCELLED: 'cancelled',
  DENIED: 'denied',
  FAILED: 'failed',
  PENDING: 'pending',
  RUNNING: 'running',
  SUCCEEDED: 'done',
  UNKNOWN: 'outcome unknown',
};

/** What of a call is shown: a turn has it, and a stored message. */
export type ShownCall = Pick<TurnCall, 'id' | 'name' | 'arguments' | 'status' | 'result' | 'error'>;

/** A tool call with its arguments and result. */
export function renderCall(call: ShownCall): HTMLElement {
  const state = element('span', { class: 'muted' }, states[call.status] ?? call.status);
  const made = element(
    'details',
    { class: 'call', 'data-status': call.status },
    element('summary', {}, element('span', { class: 'name' }, call.name), ' ', state),
    element('p', { class: 'muted' }, 'Arguments'),
    scrolled(indent(call.arguments)),
  );
  if (call.error) made.append(element('p', { class: 'muted' }, 'Error'), scrolled(call.error));
  if (call.result !== null && call.result !== undefined) {
    made.append(element('p', { class: 'muted' }, 'Result'), scrolled(JSON.stringify(call.result, null, 2)));
  }
  return made;
}

/** @param decide sends the decision: true, false, or other arguments with which the call is approved */
export type Decide = (approve: boolean, args?: string) => Promise<void>;

/** A tool call that a person has to decide on. */
export function renderApproval(call: ShownCall, decide: Decide): HTMLElement {
  const original = indent(call.arguments);
  const problem = element('p', { class: 'problem', role: 'alert', hidden: '' });
  const text = element('textarea', { rows: '5', spellcheck: 'false', dir: 'ltr' });
  text.value = original;
  const field = element('label', { hidden: '' }, 'Arguments', text);
  const shown = scrolled(original);
  const send = async (approve: boolean) => {
    setDisabled(true);
    problem.hidden = true;
    try {
      await (approve && text.value !== original ? decide(true, text.value) : decide(approve));
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : 'The decision did not arrive.';
      problem.hidden = false;
      setDisabled(false);
    }
  };
  const edit = button('Edit arguments', 'quiet', () => {
    shown.hidden = true;
    field.hidden = false;
    edit.hidden = true;
    text.focus();
  });
  const buttons = [
    button('Approve', 'primary', () => void send(true)),
    button('Deny', 'plain', () => void send(false)),
    edit,
  ];
  const setDisabled = (isDisabled: boolean) => {
    for (const one of buttons) one.disabled = isDisabled;
  };
  return element(
    'section',
    { class: 'approval', 'aria-label': `Approval of ${call.name}` },
    element('p', {}, element('strong', {}, call.name), ' needs your approval'),
    shown,
    field,
    problem,
    element('div', { class: 'buttons' }, ...buttons),
  );
}

function indent(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
