const fence = /^(`{3,}|~{3,})([^`\n]*)$/;
/** What may begin or end a fence in a list, a quote, or behind spaces: from there on, nobody knows by the line alone. */
const unclearFence = /^[\s>*+\-\d.)]+(`{3}|~{3})/;

/**
 * A text of Markdown as a quote, which it cannot leave: each of its lines begins with `>`, and its HTML is shown and not obeyed, but
 * for code in fences, which shows it anyway.
 */
export function quoteText(text: string): string {
  let open: string | null = null;
  let isUnclear = false;
  let quoted = '';
  for (const line of text.split(/\r\n|[\n\r]/)) {
    const isCode = open !== null && !isUnclear;
    quoted += `>${line === '' ? '' : ` ${isCode ? line : showHtml(line)}`}\n`;
    if (open !== null) {
      if (isClosing(line, open)) open = null;
    } else if (unclearFence.test(line)) isUnclear = true;
    else open = fence.exec(line)?.[1] ?? null;
  }
  return quoted;
}

/** Whether a line ends the code that a fence has begun. */
function isClosing(line: string, open: string): boolean {
  const [, closing = ''] = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line) ?? [];
  return closing.length >= open.length && closing[0] === open[0];
}

function showHtml(text: string): string {
  return text.replaceAll(/<(?=[A-Za-z/!?])/g, '&lt;');
}

/** A text on one line without any meaning in Markdown, such as a title or a name. */
export function writeLine(text: string): string {
  return text
    .replaceAll(/[\s\u0085]+/g, ' ')
    .trim()
    .replaceAll(/[\\`*_{}[\]<>()#+!|~&]/g, '\\$&');
}
