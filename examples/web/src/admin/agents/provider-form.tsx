import { CheckField, SelectField, TextField } from '../parts/form.tsx';
import { findPreset, type ProviderKind, presets } from './presets.ts';
import type { ProviderDraft } from './provider-draft.ts';

interface ProviderFormProps {
  readonly kind: ProviderKind;
  readonly title: string;
  readonly draft: ProviderDraft;
  readonly onChange: (draft: ProviderDraft) => void;
  /** The end of the stored key. Null: there is none. */
  readonly keyHint: string | null;
  /** The server has deleted the key, because the address has changed to another host. */
  readonly isKeyDropped: boolean;
}

type NumberField = 'sampleRate' | 'contextTokens';

const apis = [
  ['CHAT_COMPLETIONS', 'Chat Completions'],
  ['RESPONSES', 'Responses'],
] as const;

/** The settings of a provider, with the fields that its preset needs. */
export function ProviderForm({ kind, title, draft, onChange, keyHint, isKeyDropped }: ProviderFormProps) {
  const preset = findPreset(kind, draft.provider);
  const set = (change: Partial<ProviderDraft>) => onChange({ ...draft, ...change });
  const choose = (provider: string) => {
    const chosen = findPreset(kind, provider);
    // Another provider has other models and another address.
    set({
      provider,
      model: chosen?.model ?? '',
      apiUrl: '',
      path: '',
      voice: '',
      api: provider === 'openai' ? 'RESPONSES' : 'CHAT_COMPLETIONS',
    });
  };
  const path = (field: string) => `input.${kind}.${field}`;
  const text = (
    field: 'model' | 'voice' | 'language' | NumberField,
    label: string,
    type: 'text' | 'number' = 'text',
  ) => (
    <TextField
      label={label}
      path={path(field)}
      type={type}
      value={draft[field]}
      onChange={(value) => set({ [field]: value })}
    />
  );
  const needsAddress = preset !== undefined && !preset.isBuiltIn;
  return (
    <details className="provider" open={kind === 'llm'}>
      <summary>{title}</summary>
      <div className="form">
        <div className="pair">
          <SelectField
            label="Provider"
            path={path('provider')}
            value={draft.provider}
            hint={preset?.hint}
            options={[
              ['', 'None of its own: the server decides'],
              ...Object.entries(presets[kind]).map(([name, known]) => [name, known.title] as const),
            ]}
            onChange={choose}
          />
          {preset && text('model', 'Model')}
        </div>
        {needsAddress && (
          <>
            <TextField
              label={preset.apiUrl === null ? 'Address (needed)' : 'Address'}
              path={path('apiUrl')}
              value={draft.apiUrl}
              placeholder={preset.apiUrl ?? preset.example}
              isCode
              onChange={(apiUrl) => set({ apiUrl })}
            />
            <TextField
              label={keyHint === null ? 'Key' : 'New key'}
              path={path('apiKey')}
              type="password"
              value={draft.apiKey}
              hint={keyWords(keyHint, isKeyDropped)}
              onChange={(apiKey) => set({ apiKey, removesKey: false })}
            />
            {keyHint !== null && (
              <CheckField
                label="Remove the stored key"
                value={draft.removesKey}
                onChange={(removesKey) => set({ removesKey, apiKey: '' })}
              />
            )}
            <div className="pair">
              {kind === 'llm' && (
                <SelectField
                  label="API"
                  path={path('api')}
                  value={draft.api}
                  options={apis}
                  onChange={(api) => set({ api })}
                />
              )}
              {kind !== 'tts' && (
                <TextField
                  label="Path, if it is not the usual one"
                  path={path(kind === 'llm' ? 'completionsPath' : 'path')}
                  value={draft.path}
                  isCode
                  onChange={(value) => set({ path: value })}
                />
              )}
            </div>
          </>
        )}
        {preset && (
          <>
            <div className="pair">
              {kind === 'llm' && text('contextTokens', 'Context window in tokens', 'number')}
              {kind === 'tts' && text('voice', 'Voice')}
              {kind === 'tts' && text('sampleRate', 'Samples per second', 'number')}
              {kind === 'stt' && text('language', 'Language, such as de')}
            </div>
            <TextField
              label="Further options, as JSON"
              path={path('options')}
              value={draft.options}
              placeholder='{"temperature": 0.2}'
              rows={3}
              isCode
              onChange={(options) => set({ options })}
            />
          </>
        )}
      </div>
    </details>
  );
}

function keyWords(hint: string | null, isDropped: boolean): string {
  if (isDropped) return 'The key was deleted when the address changed to another host. Give it again.';
  if (hint === null) return 'No key of its own is stored. It is encrypted, and cannot be read again.';
  return `A key is stored${hint === '' ? '' : `, which ends in ${hint}`}. If this stays empty, so does that key.`;
}
