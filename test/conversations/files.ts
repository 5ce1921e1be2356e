import { expect } from 'vitest';
import { readAnswer, type TestApp } from '../support/app.ts';

import type { SocketClient } from '../support/chat.ts';

const exportDocument = `mutation ($id: ID!, $format: ExportFormat) { exportConversation(id: $id, format: $format) { url mediaType size } }`;
const importDocument = `mutation ($file: File!) { importConversations(file: $file) {
  skipped conversations { id title isPinned isArchived messageCount }
} }`;

/** Exports a conversation, which has to work. @returns the text of the file */
export async function exportText(
  app: TestApp,
  { ask, token }: SocketClient,
  id: string,
  format = 'JSON',
): Promise<string> {
  const { exportConversation: file } = await ask(exportDocument, { id, format });
  const response = await fetch(`${app.url}${file.url}`, { headers: { authorization: `Bearer ${token}` } });
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(Buffer.byteLength(text)).toBe(file.size);
  return text;
}

/** Sends a file of conversations, and returns the whole answer. */
export async function sendFile(app: TestApp, token: string, file: string | Uint8Array<ArrayBuffer>) {
  const form = new FormData();
  form.append('operations', JSON.stringify({ query: importDocument, variables: { file: null } }));
  form.append('map', JSON.stringify({ 0: ['variables.file'] }));
  form.append('0', new Blob([file]), 'conversations.json');
  const headers = { authorization: `Bearer ${token}`, 'graphql-require-preflight': '1' };
  return readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form }));
}

/** Imports a file, which has to work. */
export async function importText(app: TestApp, { token }: SocketClient, file: string | Uint8Array<ArrayBuffer>) {
  const { data, errors } = await sendFile(app, token, file);
  expect(errors).toEqual([]);
  return data.importConversations;
}

/** A file without what has to differ in another one of the same: each new id is named by its order. */
export function withoutIds(text: string): unknown {
  const names = new Map<string, string>();
  const named = text.replaceAll(/\b(conv|msg|run)_[0-9a-f-]{36}\b/g, (id, kind) => {
    const name = names.get(id) ?? `${kind} ${names.size + 1}`;
    names.set(id, name);
    return name;
  });
  const { exportedAt: _at, ...file } = JSON.parse(named);
  return file;
}
