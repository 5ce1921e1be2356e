import { useRef, useState } from 'react';
import type { Choices, Menu } from './choices.ts';
import { Composer, type ComposerHandle } from './composer.tsx';
import type { AttachmentViewFragment } from './generated/graphql.ts';
import { MenuButton } from './menu-button.tsx';
import { openConversation } from './route.ts';
import { named, sendTurn } from './turns.ts';

const suggestions = [
  'Where is my order 1042?',
  'Please refund order 1046',
  'How long can I return an unused item?',
  'What time is it?',
];

const remembered = 'switchboard:who';

/** The page before a conversation begins: who answers, and what is asked first. The turn itself creates the conversation. */
export function NewChat({ choices, menu }: { readonly choices: Choices; readonly menu: Menu }) {
  const [who, setWho] = useState(() => localStorage.getItem(remembered) ?? 'scenario support');
  const known = [
    ...choices.scenarios.map(({ key }) => `scenario ${key}`),
    ...choices.agents.map(({ id }) => `agent ${id}`),
  ];
  // Before the list is here, it is taken for granted.
  const chosen = known.length === 0 || known.includes(who) ? who : '';
  const composer = useRef<ComposerHandle>(null);
  const start = (content: string, files: readonly AttachmentViewFragment[]) => {
    const conversationId = `conv_${crypto.randomUUID()}`;
    const [kind, value] = chosen.split(' ');
    const newConversation = {
      ...(kind === 'scenario' && { scenarioKey: value }),
      ...(kind === 'agent' && { agentId: value }),
    };
    sendTurn({ conversationId, content, newConversation, ...named(files) }, { replaces: null, isNew: true, files });
    openConversation(conversationId);
  };
  return (
    <>
      <header className="head">
        <MenuButton menu={menu} />
        <h1 className="head-title">New chat</h1>
      </header>
      <div className="welcome">
        <div className="welcome-inner">
          <h2>How can we help?</h2>
          <ul className="suggestions">
            {suggestions.map((suggestion) => (
              <li key={suggestion}>
                <button type="button" className="suggestion" onClick={() => composer.current?.say(suggestion)}>
                  {suggestion}
                </button>
              </li>
            ))}
          </ul>
        </div>
      </div>
      <Composer ref={composer} send={start} stop={null}>
        <label className="picker">
          <span className="hidden">Who answers</span>
          <select
            value={chosen}
            onChange={({ target }) => {
              setWho(target.value);
              localStorage.setItem(remembered, target.value);
            }}
          >
            <option value="">Default agent</option>
            <optgroup label="Scenarios">
              {choices.scenarios.map(({ key, name }) => (
                <option key={key} value={`scenario ${key}`}>
                  {name}
                </option>
              ))}
            </optgroup>
            <optgroup label="Agents">
              {choices.agents.map(({ id, name }) => (
                <option key={id} value={`agent ${id}`}>
                  {name}
                </option>
              ))}
            </optgroup>
          </select>
        </label>
      </Composer>
    </>
  );
}
