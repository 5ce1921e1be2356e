import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { setAppearance, useAppearance } from './appearance.ts';
import { readFragment } from './generated/fragment-masking.ts';
import {
  type ChatSettingsViewFragment,
  ChatSettingsViewFragmentDoc,
  SettingsDocument,
  type SettingsQuery,
  UpdateSettingsDocument,
} from './generated/graphql.ts';
import { Memories } from './memories.tsx';

/** The settings of the page and of the person, over it. */
export function Settings({ close }: { readonly close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [{ data, error }] = useQuery({ query: SettingsDocument, requestPolicy: 'cache-and-network' });
  useEffect(() => {
    if (dialog.current?.open === false) dialog.current.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="card settings" aria-labelledby="settings-title" onClose={close}>
      <h2 id="settings-title">Settings</h2>
      <Look />
      {error && !data && (
        <p className="problem" role="alert">
          {error.message}
        </p>
      )}
      {data && <Turns data={data} settings={readFragment(ChatSettingsViewFragmentDoc, data.chatSettings)} />}
      <Memories />
      <div className="buttons">
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

function Look() {
  const { theme, direction } = useAppearance();
  return (
    <section className="settings-row">
      <label className="field">
        Theme
        <select
          value={theme}
          onChange={({ target: { value } }) =>
            setAppearance({ theme: value === 'light' || value === 'dark' ? value : 'system' })
          }
        >
          <option value="system">As the device</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      <label className="field">
        Layout
        <select
          value={direction}
          onChange={({ target: { value } }) => setAppearance({ direction: value === 'rtl' ? 'rtl' : 'ltr' })}
        >
          <option value="ltr">Left to right</option>
          <option value="rtl">Right to left</option>
        </select>
      </label>
    </section>
  );
}

/** These count as not set: the server says so in the descriptions of ChatSettings. */
const unset = { temperature: 0.7, maxTokens: 2_000 };

/** What holds for all turns that begin from now on. An empty field: as the agent has it. */
function Turns(props: { readonly data: SettingsQuery; readonly settings: ChatSettingsViewFragment }) {
  const { data, settings } = props;
  const [{ fetching }, update] = useMutation(UpdateSettingsDocument);
  const [outcome, setOutcome] = useState<{ readonly isGood: boolean; readonly text: string } | null>(null);
  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? '').trim();
    const numeric = (name: string) => (text(name) === '' ? null : Number(text(name)));
    const { error } = await update({
      input: {
        model: text('model') || null,
        temperature: numeric('temperature'),
        maxTokens: numeric('maxTokens'),
        enabledAgents: form.getAll('agent').map(String),
        enabledTools: form.getAll('tool').map(String),
      },
    });
    setOutcome(
      error ? { isGood: false, text: error.message.replace('[GraphQL] ', '') } : { isGood: true, text: 'Saved.' },
    );
  };
  const { temperature, maxTokens } = settings;
  const agents = new Set(settings.enabledAgents.map(({ id }) => id));
  const tools = new Set(settings.enabledTools);
  return (
    <form className="settings-form" onSubmit={save} onChange={() => setOutcome(null)}>
      <h3>All of your turns</h3>
      <label className="field">
        Model
        <input name="model" maxLength={200} defaultValue={settings.model ?? ''} placeholder="As the agent has it" />
      </label>
      <div className="settings-row">
        <label className="field">
          Temperature
          <input
            name="temperature"
            type="number"
            min="0"
            max="2"
            step="any"
            defaultValue={temperature === unset.temperature ? '' : temperature}
            placeholder="As the agent"
          />
        </label>
        <label className="field">
          Longest answer, in tokens
          <input
            name="maxTokens"
            type="number"
            min="1"
            max="32000"
            defaultValue={maxTokens === unset.maxTokens ? '' : maxTokens}
            placeholder="As the agent"
          />
        </label>
      </div>
      <Choice
        name="agent"
        legend="Agents that may answer"
        chosen={agents}
        options={data.agents.edges.map(({ node: { id, name } }) => ({ value: id, label: name }))}
      />
      <Choice
        name="tool"
        legend="Tools that may be used"
        chosen={tools}
        options={data.tools.map(({ name, description }) => ({ value: name, label: name, title: description }))}
      />
      {outcome && (
        <p className={outcome.isGood ? 'muted' : 'problem'} role={outcome.isGood ? 'status' : 'alert'}>
          {outcome.text}
        </p>
      )}
      <div className="buttons">
        <button type="submit" className="button primary" disabled={fetching}>
          Save
        </button>
      </div>
    </form>
  );
}

interface ChoiceProps {
  readonly name: string;
  readonly legend: string;
  readonly chosen: ReadonlySet<string>;
  readonly options: readonly { readonly value: string; readonly label: string; readonly title?: string }[];
}

function Choice({ name, legend, chosen, options }: ChoiceProps) {
  return (
    <details className="choice" open={chosen.size > 0}>
      <summary>{legend}</summary>
      <fieldset aria-label={legend}>
        <p className="muted">If none is chosen: all.</p>
        {options.map(({ value, label, title }) => (
          <label key={value} title={title}>
            <input type="checkbox" name={name} value={value} defaultChecked={chosen.has(value)} />
            <span dir="auto">{label}</span>
          </label>
        ))}
      </fieldset>
    </details>
  );
}
