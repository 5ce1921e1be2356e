import type { RefObject } from 'react';

/** Who can answer. */
export interface Choices {
  readonly agents: readonly { readonly id: string; readonly name: string; readonly description?: string | null }[];
  readonly scenarios: readonly { readonly id: string; readonly key: string; readonly name: string }[];
}

/** The list of conversations on a narrow screen. */
export interface Menu {
  readonly button: RefObject<HTMLButtonElement | null>;
  readonly isOpen: boolean;
  readonly open: () => void;
}
