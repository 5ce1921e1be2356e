import { createContext, type FormEvent, type ReactNode, useContext, useEffect, useId, useRef } from 'react';
import type { Refusal } from './errors.ts';

const RefusalContext = createContext<Refusal | null>(null);

interface FormProps {
  readonly refusal: Refusal | null;
  readonly isRunning: boolean;
  /** Whether what was saved last has been accepted. */
  readonly isDone?: boolean;
  /** The words of the button. */
  readonly save: string;
  readonly onSave: () => unknown;
  /** Further buttons. */
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

/** A form whose fields show what the server refuses of them: the field with the path of the error is marked and takes the focus. */
export function Form({ refusal, isRunning, isDone = false, save, onSave, actions, children }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const wrong = refusal && form.current?.querySelector<HTMLElement>('[aria-invalid="true"], [data-invalid]');
    if (!wrong) return;
    wrong.closest('details')?.setAttribute('open', '');
    wrong.focus();
  }, [refusal]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isRunning) onSave();
  };
  return (
    <RefusalContext value={refusal}>
      <form className="form" ref={form} onSubmit={submit} noValidate>
        {children}
        {refusal && (
          <p className="problem" role="alert">
            {refusal.message}
          </p>
        )}
        <div className="buttons">
          <button type="submit" className="button primary" aria-disabled={isRunning}>
            {save}
          </button>
          {actions}
          <span className="saved" role="status">
            {isDone ? 'Saved' : ''}
          </span>
        </div>
      </form>
    </RefusalContext>
  );
}

interface FieldProps {
  readonly label: string;
  /** The path of its argument, as the server names it in errors: `input.name`. */
  readonly path: string;
  readonly hint?: ReactNode;
}

interface FieldIds {
  readonly id: string;
  readonly 'aria-invalid'?: true;
  readonly 'aria-describedby'?: string;
}

/** A label, a control, and what is said of it. */
export function Field(props: FieldProps & { readonly children: (ids: FieldIds) => ReactNode }) {
  const { label, path, hint, children } = props;
  const id = useId();
  const problem = useRefusalOf(path);
  const described = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(' ');
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(problem && { 'aria-invalid': true }),
        ...(described && { 'aria-describedby': described }),
      })}
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {problem && (
        <p className="field-problem" id={`${id}-problem`}>
          {problem}
        </p>
      )}
    </div>
  );
}

/** What the server refuses at this path or below it, without the path. Null: nothing. */
function useRefusalOf(path: string): string | null {
  const refusal = useContext(RefusalContext);
  if (!refusal?.field) return null;
  if (refusal.field !== path && !refusal.field.startsWith(`${path}.`)) return null;
  const { field, message } = refusal;
  return message.startsWith(field) ? message.slice(field.length).replace(/^:?\s*/, '') : message;
}

/** What the server refuses of something that is no field of its own. */
export function PathProblem({ path }: { readonly path: string }) {
  const problem = useRefusalOf(path);
  return problem === null ? null : (
    <p className="field-problem" data-invalid tabIndex={-1}>
      {problem}
    </p>
  );
}

interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** More than one: a text area. */
  readonly rows?: number;
  readonly type?: 'text' | 'password' | 'number' | 'url' | 'search' | 'date';
  readonly placeholder?: string | undefined;
  /** For code and JSON: one width for all letters, and no spelling. */
  readonly isCode?: boolean;
}

/** A field for a text. */
export function TextField({ value, onChange, rows = 1, type = 'text', placeholder, isCode, ...field }: TextFieldProps) {
  const shared = {
    value,
    placeholder,
    dir: isCode ? 'ltr' : 'auto',
    spellCheck: !isCode,
    autoComplete: type === 'password' ? 'new-password' : 'off',
    className: isCode ? 'code' : undefined,
  };
  return (
    <Field {...field}>
      {(ids) =>
        rows > 1 ? (
          <textarea {...ids} {...shared} rows={rows} onChange={({ target }) => onChange(target.value)} />
        ) : (
          <input {...ids} {...shared} type={type} onChange={({ target }) => onChange(target.value)} />
        )
      }
    </Field>
  );
}

interface SelectFieldProps<Value extends string> extends FieldProps {
  readonly value: Value;
  readonly options: readonly (readonly [value: Value, label: string])[];
  readonly onChange: (value: Value) => void;
}

/** A field for one of several values. */
export function SelectField<Value extends string>({ value, options, onChange, ...field }: SelectFieldProps<Value>) {
  const choose = (chosen: string) => {
    const [found] = options.find(([one]) => one === chosen) ?? [];
    if (found !== undefined) onChange(found);
  };
  return (
    <Field {...field}>
      {(ids) => (
        <select {...ids} value={value} onChange={({ target }) => choose(target.value)}>
          {options.map(([one, text]) => (
            <option key={one} value={one}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckFieldProps {
  readonly label: string;
  readonly value: boolean;
  readonly onChange: (value: boolean) => void;
}

/** Yes or no. */
export function CheckField({ label, value, onChange }: CheckFieldProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={value} onChange={({ target }) => onChange(target.checked)} />
      {label}
    </label>
  );
}

interface CheckListProps {
  readonly label: string;
  readonly path: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly values: readonly string[];
  readonly onChange: (values: string[]) => void;
}

/** Any of several values. */
export function CheckList({ label, path, options, values, onChange }: CheckListProps) {
  const toggle = (value: string, isChosen: boolean) =>
    onChange(isChosen ? [...values, value] : values.filter((one) => one !== value));
  return (
    <fieldset className="check-list">
      <legend>{label}</legend>
      {options.map(([value, text]) => (
        <CheckField
          key={value}
          label={text}
          value={values.includes(value)}
          onChange={(isChosen) => toggle(value, isChosen)}
        />
      ))}
      <PathProblem path={path} />
    </fieldset>
  );
}
