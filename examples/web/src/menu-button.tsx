import type { Menu } from './choices.ts';
import { Icon } from './icons.tsx';

/** Opens the list of conversations where there is no room for it beside the chat. */
export function MenuButton({ menu }: { readonly menu: Menu }) {
  return (
    <button
      ref={menu.button}
      type="button"
      className="icon-button menu-button"
      aria-label="Conversations"
      aria-expanded={menu.isOpen}
      onClick={menu.open}
    >
      <Icon name="menu" />
    </button>
  );
}
