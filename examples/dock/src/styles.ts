const css = `
:host {
  all: initial;
  color-scheme: light dark;
  --ground: light-dark(#ffffff, #14161b);
  --soft: light-dark(#eef0f4, #23272f);
  --line: light-dark(#dfe3ea, #3a404c);
  --text: light-dark(#1a1f2b, #e7e9ee);
  --muted: light-dark(#596173, #a0a7b5);
  --accent: light-dark(#3b5bdb, #8ea4ff);
  --accent-text: light-dark(#ffffff, #0d1230);
  --warn: light-dark(#8a5300, #f0bd6a);
  --warn-soft: light-dark(#fdf3e1, #33280f);
  --bad: light-dark(#b42318, #ff9a90);
  --bad-soft: light-dark(#fdecea, #3a1b18);
  position: fixed;
  inset-block-end: 16px;
  inset-inline-end: 16px;
  z-index: 2147483000;
  font: 15px / 1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  color: var(--text);
}
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, h2, h3, h4, h5, h6, ol, ul, blockquote, pre { margin: 0; padding: 0; }
h2 { font-size: 16px; flex: 1; min-width: 0; overflow-wrap: anywhere; }
h3, h4, h5, h6 { font-size: 15px; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button {
  font: inherit; color: var(--text); background: var(--soft); cursor: pointer;
  border: 1px solid var(--line); border-radius: 8px; padding: 6px 12px; min-height: 36px;
}
button:disabled { opacity: 0.6; cursor: default; }
button.primary, button.launcher { background: var(--accent); border-color: var(--accent); color: var(--accent-text); }
button.quiet { background: none; border-color: transparent; padding-inline: 8px; font-size: 14px; }
button.small { padding: 0 8px; min-height: 28px; font-size: 13px; }
button.launcher {
  border-radius: 24px; min-height: 48px; padding-inline: 20px; max-width: calc(100vw - 32px); font-weight: 600;
  box-shadow: 0 6px 20px rgb(0 0 0 / 25%); display: block; margin-inline-start: auto;
}
.panel {
  position: absolute; inset-block-end: 60px; inset-inline-end: 0;
  width: min(400px, calc(100vw - 32px)); height: min(620px, calc(100dvh - 92px));
  display: flex; flex-direction: column; overflow: hidden;
  background: var(--ground); border: 1px solid var(--line); border-radius: 14px; box-shadow: 0 10px 40px rgb(0 0 0 / 30%);
}
header { display: flex; align-items: center; gap: 4px; padding: 8px 8px 8px 16px; border-block-end: 1px solid var(--line); }
.offline:not(:empty) { padding: 6px 16px; background: var(--soft); font-size: 14px; }
.scroller { flex: 1; overflow-y: auto; overflow-anchor: none; padding: 16px; min-height: 0; }
.scroller > ol { list-style: none; display: flex; flex-direction: column; gap: 16px; }
.turn, .answer, .prose, .prose > div { display: flex; flex-direction: column; gap: 8px; min-width: 0; }
.prose { overflow-wrap: anywhere; }
.prose ul, .prose ol { padding-inline-start: 22px; }
.prose code { font: 13px / 1.5 ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: 1px 4px; }
pre { overflow: auto; max-height: 240px; background: var(--soft); border-radius: 8px; padding: 8px 10px; white-space: pre-wrap; }
pre code { font: 13px / 1.5 ui-monospace, monospace; background: none; padding: 0; }
.code > p { display: flex; justify-content: space-between; align-items: center; color: var(--muted); font-size: 13px; }
blockquote { border-inline-start: 3px solid var(--line); padding-inline-start: 12px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: 4px 8px; text-align: start; }
th > span, td > span { unicode-bidi: plaintext; }
hr { border: 0; border-block-start: 1px solid var(--line); width: 100%; }
.question {
  align-self: flex-end; background: var(--soft); border-radius: 14px; padding: 8px 14px; max-width: 85%;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
.author, .note, .muted { color: var(--muted); font-size: 13px; }
.author { font-weight: 600; }
.call, .approval { border: 1px solid var(--line); border-radius: 10px; padding: 8px 12px; min-width: 0; }
.call summary { cursor: pointer; overflow-wrap: anywhere; }
.name { font: 13px ui-monospace, monospace; }
.approval { display: flex; flex-direction: column; gap: 8px; border-color: var(--accent); }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; }
.problem { background: var(--bad-soft); color: var(--bad); border-radius: 8px; padding: 8px 12px; overflow-wrap: anywhere; }
.notice { background: var(--warn-soft); color: var(--warn); border-radius: 8px; padding: 8px 12px; font-size: 14px; overflow-wrap: anywhere; }
.panel > .problem { margin: 0 16px 8px; }
.early:not(:empty) { margin: 0 16px 8px; color: var(--warn); font-size: 14px; }
.dots::after { content: "●●●"; letter-spacing: 3px; color: var(--muted); font-size: 9px; animation: breathe 1.2s infinite alternate; }
@keyframes breathe { from { opacity: 0.35; } }
@media (prefers-reduced-motion: reduce) { .dots::after { animation: none; } }
form { display: flex; gap: 8px; padding: 12px; border-block-start: 1px solid var(--line); align-items: flex-end; }
textarea {
  font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--muted); border-radius: 8px;
  padding: 6px 10px; width: 100%; min-height: 36px; max-height: 160px; resize: none; field-sizing: content;
}
.approval textarea { font: 13px / 1.5 ui-monospace, monospace; margin-block-start: 4px; }
::placeholder { color: var(--muted); opacity: 1; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 480px) { :host { inset-block-end: 12px; inset-inline-end: 12px; } .panel { width: calc(100vw - 24px); } }
`;

let made: CSSStyleSheet | undefined;

/** One sheet for all docks of a page. */
export function sheet(): CSSStyleSheet {
  if (made === undefined) {
    made = new CSSStyleSheet();
    made.replaceSync(css);
  }
  return made;
}
