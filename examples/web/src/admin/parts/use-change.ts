import { useState } from 'react';
import { type AnyVariables, type DocumentInput, useMutation } from 'urql';
import { type Refusal, readRefusal } from './errors.ts';

/**
 * A mutation of a form.
 * @param types the types of objects that it changes: lists with them are read again
 * @returns `run` gives what the server has answered, or null: then `refusal` says why. `isDone`: the last one was accepted
 */
export function useChange<Data, Variables extends AnyVariables>(
  document: DocumentInput<Data, Variables>,
  types: readonly string[],
) {
  const [{ fetching }, send] = useMutation(document);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [isDone, setDone] = useState(false);
  const run = async (variables: Variables): Promise<Data | null> => {
    setRefusal(null);
    setDone(false);
    const { data, error } = await send(variables, { additionalTypenames: [...types] });
    if (error) setRefusal(readRefusal(error));
    else setDone(true);
    return error ? null : (data ?? null);
  };
  return { run, isRunning: fetching, isDone, refusal, setRefusal };
}
