import {
  type DocumentNode,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  visit,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { readLastSeq } from '../../feed/read-feed.ts';
import type { Context } from '../../graphql/context.ts';

/**
 * Reads the viewer's `lastEventSeq` before a query is executed that asks for it beside other things. The root fields of a
 * query are read at the same time, in several statements: a seq that is newer than one of them would hide an event from
 * the client. A query with one root field needs no extra statement, because the seq is read together with its rows.
 */
export function useEventSeq(): Plugin<Context> {
  return {
    async onExecute({ args: { document, operationName, contextValue } }) {
      const operation = getOperationAST(document, operationName);
      if (!operation || !contextValue.authenticated || !isRacy(document, operation)) return;
      contextValue.eventSeqAtStart = await readLastSeq(contextValue.viewer, contextValue.db);
    },
  };
}

const known = new WeakMap<DocumentNode, boolean>();

function isRacy(document: DocumentNode, { operation, selectionSet: { selections } }: OperationDefinitionNode): boolean {
  if (operation !== OperationTypeNode.QUERY) return false;
  const isAlone = selections.length === 1 && selections[0]?.kind === Kind.FIELD;
  return !isAlone && selectsSeq(document);
}

function selectsSeq(document: DocumentNode): boolean {
  let selects = known.get(document);
  if (selects === undefined) {
    selects = false;
    visit(document, {
      Field: ({ name }) => {
        if (name.value === 'lastEventSeq') selects = true;
      },
    });
    known.set(document, selects);
  }
  return selects;
}
