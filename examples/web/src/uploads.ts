import { useCallback, useEffect, useRef, useState } from 'react';
import { stringifyDocument } from 'urql';
import { readFragment } from './generated/fragment-masking.ts';
import {
  type AttachmentViewFragment,
  AttachmentViewFragmentDoc,
  UploadAttachmentDocument,
  type UploadAttachmentMutation,
} from './generated/graphql.ts';
import { getToken, refreshToken } from './token.ts';

/** A file that a person has chosen for the message that is being written. */
export interface Upload {
  readonly key: string;
  readonly name: string;
  readonly size: number;
  /** How much of it the server has, from 0 to 1. */
  readonly progress: number;
  /** What the server has stored. Null: not yet. */
  readonly stored: AttachmentViewFragment | null;
  /** Why the server has not taken it. */
  readonly problem: string | null;
}

/** The files of one message, as the server bounds them. */
export const maxFiles = 20;

/** The files of the message that is being written: they are uploaded as soon as they are chosen, one after another. */
export function useUploads() {
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const [tooMany, setTooMany] = useState(false);
  const controllers = useRef(new Map<string, AbortController>());
  // The server reads few files of one person at a time, and refuses the others.
  const last = useRef(Promise.resolve());
  useEffect(() => {
    const { current } = controllers;
    return () => {
      for (const controller of current.values()) controller.abort();
    };
  }, []);

  const add = useCallback(
    (files: Iterable<File>) => {
      const all = [...files];
      const taken = all.slice(0, maxFiles - uploads.length);
      setTooMany(taken.length < all.length);
      for (const file of taken) {
        const key = crypto.randomUUID();
        const controller = new AbortController();
        controllers.current.set(key, controller);
        const { name, size } = file;
        setUploads((known) => [...known, { key, name, size, progress: 0, stored: null, problem: null }]);
        const change = (changed: Partial<Upload>) =>
          setUploads((known) => known.map((one) => (one.key === key ? { ...one, ...changed } : one)));
        last.current = last.current
          .then(() => sendFile(file, (progress) => change({ progress }), controller.signal))
          .then(change);
      }
    },
    [uploads.length],
  );
  const remove = useCallback((key: string) => {
    controllers.current.get(key)?.abort();
    controllers.current.delete(key);
    setTooMany(false);
    setUploads((known) => known.filter((one) => one.key !== key));
  }, []);
  /** They belong to a message now. */
  const clear = useCallback(() => {
    controllers.current.clear();
    setUploads([]);
    setTooMany(false);
  }, []);
  return { uploads, tooMany, add, remove, clear };
}

type Outcome = Pick<Upload, 'stored' | 'problem'>;

const refuse = (problem: string): Outcome => ({ stored: null, problem });

/** Uploads a file: a multipart request, by XMLHttpRequest, which alone tells how much has been sent. Never rejects. */
async function sendFile(file: File, progress: (part: number) => void, signal: AbortSignal): Promise<Outcome> {
  const first = await post(file, progress, signal);
  if (first?.status !== 401) return readOutcome(first);
  await refreshToken();
  return readOutcome(await post(file, progress, signal));
}

/** Null: there was no answer. */
function post(
  file: File,
  progress: (part: number) => void,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string } | null> {
  const form = new FormData();
  const query = stringifyDocument(UploadAttachmentDocument);
  form.append('operations', JSON.stringify({ query, variables: { file: null } }));
  form.append('map', JSON.stringify({ 0: ['variables.file'] }));
  form.append('0', file);
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(null);
    const request = new XMLHttpRequest();
    request.open('POST', '/graphql');
    request.setRequestHeader('authorization', `Bearer ${getToken() ?? ''}`);
    // No form of a foreign page can set it: the server takes it as a sign that this is not one.
    request.setRequestHeader('graphql-require-preflight', '1');
    request.upload.addEventListener('progress', ({ loaded, total }) => progress(total > 0 ? loaded / total : 0));
    request.addEventListener('load', () => resolve({ status: request.status, text: request.responseText }));
    for (const name of ['error', 'abort']) request.addEventListener(name, () => resolve(null));
    signal.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}

interface Answer {
  readonly data?: UploadAttachmentMutation | null;
  readonly errors?: readonly { readonly message: string }[];
}

function readOutcome(response: { readonly status: number; readonly text: string } | null): Outcome {
  if (response === null) return refuse('The server could not be reached.');
  const unknown = `The server has answered with status ${response.status}.`;
  try {
    const { data, errors }: Answer = JSON.parse(response.text);
    if (!data) return refuse(errors?.[0]?.message ?? unknown);
    return { stored: readFragment(AttachmentViewFragmentDoc, data.uploadAttachment), problem: null };
  } catch {
    return refuse(unknown);
  }
}
