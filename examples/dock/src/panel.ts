import { button, element } from './dom.ts';

/** IDLE: a message can be sent. SENDING: it is on its way. RUNNING: the turn can be stopped. */
export type PanelState = 'IDLE' | 'SENDING' | 'RUNNING';

interface PanelActions {
  readonly toggle: () => void;
  readonly close: () => void;
  readonly send: (content: string) => void;
  readonly stop: () => void;
  readonly restart: () => void;
}

export type Panel = ReturnType<typeof buildPanel>;

/** How far from its end the list may be scrolled and still follow what is written, in pixels. */
const nearEnd = 60;

/** What is said if a person sends a text while a turn runs. */
const tooEarly = 'The answer has not ended. Your text stays here: send it afterwards, or stop the answer first.';

/** The button at the edge of the page, and what it opens: everything but the turns. */
export function buildPanel(actions: PanelActions) {
  let state: PanelState = 'IDLE';
  let follows = true;
  const launcher = button('', 'launcher', actions.toggle);
  const title = element('h2', { id: 'title' });
  const list = element('ol');
  const scroller = element('div', { class: 'scroller', role: 'region', tabindex: '0', 'aria-label': 'Messages' }, list);
  const status = element('p', { class: 'hidden', role: 'status' });
  const offline = element('p', { class: 'offline', role: 'status' });
  const problem = element('p', { class: 'problem', role: 'alert', hidden: '' });
  const early = element('p', { class: 'early', role: 'status' });
  const text = element('textarea', { rows: '1', 'aria-label': 'Message', placeholder: 'Ask something…', dir: 'auto' });
  const submit = element('button', { type: 'submit', class: 'primary' }, 'Send');
  const form = element('form', {}, text, submit);
  const node = element(
    'section',
    { class: 'panel', id: 'panel', role: 'dialog', 'aria-labelledby': 'title', hidden: '' },
    element(
      'header',
      {},
      title,
      button('New conversation', 'quiet', actions.restart),
      button('Close', 'quiet', actions.close),
    ),
    offline,
    scroller,
    problem,
    early,
    form,
    status,
  );
  launcher.setAttribute('aria-controls', 'panel');
  launcher.setAttribute('aria-expanded', 'false');

  const setState = (next: PanelState) => {
    state = next;
    submit.textContent = state === 'RUNNING' ? 'Stop' : 'Send';
    submit.disabled = state === 'SENDING';
    if (state === 'IDLE') early.textContent = '';
  };
  const send = () => {
    const content = text.value.trim();
    if (content === '') return;
    if (state !== 'IDLE') {
      early.textContent = tooEarly;
      return;
    }
    text.value = '';
    actions.send(content);
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (state === 'RUNNING') actions.stop();
    else send();
  });
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  node.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') actions.close();
  });
  scroller.addEventListener(
    'scroll',
    () => {
      follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < nearEnd;
    },
    { passive: true },
  );
  const stick = () => {
    if (follows) scroller.scrollTop = scroller.scrollHeight;
  };

  return {
    node,
    launcher,
    list,
    setState,
    stick,
    setLabel: (label: string) => {
      title.textContent = label;
      launcher.textContent = label;
    },
    setConnection: (isConnected: boolean) => {
      offline.textContent = isConnected ? '' : 'Offline. It goes on by itself when the server answers again.';
    },
    setProblem: (message: string | null) => {
      problem.hidden = message === null;
      problem.textContent = message;
    },
    /** Gives back what could not be sent. */
    restore: (content: string) => {
      if (text.value === '') text.value = content;
    },
    announce: (sentence: string) => {
      status.textContent = sentence;
    },
    toEnd: () => {
      follows = true;
      stick();
    },
    focus: () => text.focus(),
    show: () => {
      node.hidden = false;
      launcher.setAttribute('aria-expanded', 'true');
      stick();
      text.focus();
    },
    hide: () => {
      node.hidden = true;
      launcher.setAttribute('aria-expanded', 'false');
      launcher.focus();
    },
  };
}
