import { cacheExchange } from 'urql';
import { createPageClient } from '../client.ts';

/**
 * The client of the admin pages. Its cache remembers whole answers, and asks again for each one with objects of a type that
 * a mutation has changed: see useChange. A page that is opened again shows what is remembered, and asks too.
 */
export const adminClient = createPageClient(cacheExchange, 'cache-and-network');
