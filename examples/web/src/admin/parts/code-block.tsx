/** A text as it is, such as JSON. */
export function CodeBlock({ text }: { readonly text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <pre tabIndex={0} dir="auto">
      {text}
    </pre>
  );
}
