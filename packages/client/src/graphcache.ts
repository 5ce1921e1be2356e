import type { CacheExchangeOpts } from '@urql/exchange-graphcache';
import { keys, schema } from './generated/graphcache.ts';

/** For `cacheExchange(cacheOptions)` of graphcache: the schema, and the types without an id. */
export const cacheOptions: Pick<CacheExchangeOpts, 'keys' | 'schema'> = {
  ...(keys && { keys }),
  ...(schema && { schema }),
};
