import { CheckField, CheckList, TextField } from '../parts/form.tsx';
import type { EndpointDraft } from './endpoint-draft.ts';

interface EndpointFormProps {
  readonly draft: EndpointDraft;
  readonly onChange: (draft: EndpointDraft) => void;
  readonly secretHeaders: readonly { readonly name: string; readonly hint: string }[];
  /** Names of secret headers that the server has deleted, because the address has changed to another host. */
  readonly dropped: readonly string[];
}

/** How something is called: its headers, who may use it, and its limits. */
export function EndpointForm({ draft, onChange, secretHeaders, dropped }: EndpointFormProps) {
  const set = (change: Partial<EndpointDraft>) => onChange({ ...draft, ...change });
  return (
    <>
      <TextField
        label="Headers, as Name: value in each line"
        path="input.headers"
        rows={3}
        isCode
        value={draft.headers}
        onChange={(headers) => set({ headers })}
      />
      {dropped.length > 0 && (
        <p className="notice">
          The address has changed to another host, so these secret headers were deleted: {dropped.join(', ')}.
        </p>
      )}
      {secretHeaders.length > 0 && (
        <CheckList
          label="Stored secret headers: remove"
          path="removed headers"
          options={secretHeaders.map(({ name, hint }) => [name, `${name}, which ends in ${hint}`] as const)}
          values={draft.removed}
          onChange={(removed) => set({ removed })}
        />
      )}
      <div className="pair">
        <TextField
          label="Secret header to set"
          path="input.secretHeaders"
          placeholder="Authorization"
          value={draft.secretName}
          onChange={(secretName) => set({ secretName })}
        />
        <TextField
          label="Its value"
          path="secret value"
          type="password"
          hint="It is encrypted, and cannot be read again."
          value={draft.secretValue}
          onChange={(secretValue) => set({ secretValue })}
        />
      </div>
      <TextField
        label="Roles of which a user needs one, each in a line"
        path="input.requiredRoles"
        rows={2}
        value={draft.roles}
        hint="None: every user may use it."
        onChange={(roles) => set({ roles })}
      />
      <div className="pair">
        <TextField
          label="Time limit in milliseconds"
          path="input.timeoutMs"
          type="number"
          value={draft.timeoutMs}
          onChange={(timeoutMs) => set({ timeoutMs })}
        />
        <TextField
          label="Longest result in characters"
          path="input.maxResultLength"
          type="number"
          value={draft.maxResultLength}
          onChange={(maxResultLength) => set({ maxResultLength })}
        />
      </div>
      <CheckField
        label="The user approves each call"
        value={draft.requiresApproval}
        onChange={(requiresApproval) => set({ requiresApproval })}
      />
      <CheckField label="Active" value={draft.isActive} onChange={(isActive) => set({ isActive })} />
    </>
  );
}
