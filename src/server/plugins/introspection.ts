import { NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { RequestContext } from '../operation/request-context.ts';

/** Refuses introspection without a valid token. */
export function useNoAnonymousIntrospection(): Plugin<RequestContext> {
  return {
    onValidate({ context, addValidationRule }) {
      if (context.operation.viewer === null) addValidationRule(NoSchemaIntrospectionCustomRule);
    },
  };
}
