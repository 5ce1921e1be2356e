import type { Database } from '../database/client.ts';
import type { DefaultCountry } from './phone.ts';

/** What reading and changing contacts takes. One for the process. */
export interface ContactDependencies {
  readonly db: Database;
  /** The country of telephone numbers that are written without one. */
  readonly defaultCountry: DefaultCountry;
}
