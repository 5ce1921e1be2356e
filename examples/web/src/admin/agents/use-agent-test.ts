import { CloseCode } from 'graphql-ws';
import { useEffect, useRef, useState } from 'react';
import { CombinedError, stringifyDocument } from 'urql';
import { socketOfOneTry } from '../../client.ts';
import { refreshToken } from '../../token.ts';
import { AgentTestDocument, type AgentTestSubscription } from '../generated/graphql.ts';
import { type Refusal, readRefusal } from '../parts/errors.ts';

type Event = AgentTestSubscription['testAgentEvents'];
type Result = Extract<Event, { readonly __typename: 'AgentTestResult' }>;

/** A test as far as it has got. */
export interface AgentTestState {
  readonly text: string;
  /** Null: no text has arrived yet. */
  readonly timeToFirstTokenMs: number | null;
  /** Null: the test runs, or was stopped. */
  readonly result: Result | null;
}

const begun: AgentTestState = { text: '', timeToFirstTokenMs: null, result: null };
const cut: Refusal = { message: 'The connection was lost before the test had ended. Test again.', field: null };

/** Codes of a socket that is closed because its token was not accepted. */
const tokenRefused: ReadonlySet<number> = new Set([CloseCode.Unauthorized, CloseCode.Forbidden]);

function addEvent(state: AgentTestState, event: Event): AgentTestState {
  const { timeToFirstTokenMs } = event;
  if (event.__typename === 'AgentTestResult')
    return { text: event.output ?? state.text, timeToFirstTokenMs, result: event };
  return { ...state, text: state.text + event.delta, timeToFirstTokenMs };
}

/**
 * Tests an agent. Not over the socket of the page: that subscribes again after a cut, which would be another test. Who leaves
 * the page ends it.
 */
export function useAgentTest(id: string) {
  const [state, setState] = useState<AgentTestState | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [isRunning, setRunning] = useState(false);
  const leave = useRef<(() => void) | null>(null);
  useEffect(() => () => leave.current?.(), []);
  const stop = () => {
    leave.current?.();
    leave.current = null;
    setRunning(false);
  };
  const run = (prompt: string) => {
    stop();
    setState(begun);
    setRefusal(null);
    setRunning(true);
    let isOver = false;
    let hasBegun = false;
    const end = (reason: Refusal | null) => {
      if (isOver) return;
      isOver = true;
      if (reason) setRefusal(reason);
      setRunning(false);
    };
    const refuse = (graphQLErrors: readonly object[]) =>
      end(readRefusal(new CombinedError({ graphQLErrors: [...graphQLErrors] })));
    /** A token that has expired is renewed once: until it is accepted, no test has begun. */
    const subscribe = (mayRenew: boolean) => {
      const unsubscribe = socketOfOneTry.subscribe<AgentTestSubscription>(
        { query: stringifyDocument(AgentTestDocument), variables: { id, prompt } },
        {
          next: ({ data, errors }) => {
            hasBegun = true;
            if (errors) return refuse(errors);
            if (!data) return;
            setState((before) => addEvent(before ?? begun, data.testAgentEvents));
            if (data.testAgentEvents.__typename === 'AgentTestResult') end(null);
          },
          error: async (error) => {
            if (Array.isArray(error)) return refuse(error);
            const isRefused = !hasBegun && error instanceof CloseEvent && tokenRefused.has(error.code);
            if (!isRefused || !mayRenew || (await refreshToken()) === null) return end(cut);
            if (!isOver) subscribe(false);
          },
          complete: () => end(cut),
        },
      );
      leave.current = () => {
        isOver = true;
        unsubscribe();
      };
    };
    subscribe(true);
  };
  return { state, refusal, isRunning, run, stop };
}
