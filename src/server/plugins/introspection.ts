import { NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { RequestContext } from '../request-context.ts';

/** Keeps the schema from those who are nobody. */
export function useNoAnonymousIntrospection(): Plugin<RequestContext> {
  return {
    onValidate({ context, addValidationRule }) {
      if (context.operation.viewer === null) addValidationRule(NoSchemaIntrospectionCustomRule);
    },
  };
}
