import { type Document, LineCounter, parseDocument } from 'yaml';

/**
 * Reads YAML 1.2 (or JSON, which is YAML too) to plain values: no tag makes anything else, keys are strings.
 * @throws {Error} that says what is wrong and where, and shows nothing of the text: there may be secrets in it
 */
export function readYaml(written: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(written, {
    version: '1.2',
    schema: 'core',
    // Without it !!binary and !!set become values that no JSON can hold.
    resolveKnownTags: false,
    stringKeys: true,
    logLevel: 'error',
    prettyErrors: false,
    lineCounter: lines,
  });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem === undefined) return resolveAliases(document);
  const { line, col } = lines.linePos(problem.pos[0]);
  throw new Error(`it is not YAML that can be used: ${problem.code} at line ${line}, column ${col}`);
}

/** The library's own errors name the alias, and whatever begins with an asterisk looks like one. */
function resolveAliases(document: Document.Parsed): unknown {
  try {
    // Few aliases that stand for much would grow to more than memory holds.
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new Error('it is not YAML that can be used: it has too many aliases, or one that stands for nothing');
  }
}
