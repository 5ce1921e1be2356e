import { useState } from 'react';
import { saveToken } from './token.ts';

/** Asks for an access token, where the server has not put one into the page. */
export function SignIn() {
  const [token, setToken] = useState('');
  const submit = (event: React.FormEvent) => {
    event.preventDefault();
    saveToken(token.trim().replace(/^Bearer\s+/i, ''));
    location.reload();
  };
  return (
    <main className="sign-in">
      <form className="card" onSubmit={submit}>
        <h1>Switchboard</h1>
        <p>
          Paste an access token of your issuer. In development, <code>npm start</code> prints one.
        </p>
        <label className="field">
          Access token
          <input
            type="password"
            autoComplete="off"
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <button type="submit" className="button primary">
          Open
        </button>
      </form>
    </main>
  );
}
