type Tags = HTMLElementTagNameMap;

/** An element. Its children are nodes or text, which is never read as markup. */
export function element<Tag extends keyof Tags>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): Tags[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A button with a function. */
export function button(label: string, className: string, press: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', class: className }, label);
  made.addEventListener('click', press);
  return made;
}

/** A place that the keyboard can scroll. */
export function scrolled(text: string): HTMLPreElement {
  return element('pre', { tabindex: '0', dir: 'ltr' }, element('code', {}, text));
}
