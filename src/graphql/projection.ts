import type { FieldNode } from 'graphql';

// What a document selects of rows that were read already, as a function: for lists, on which resolvers cost more than
// everything else. A type says of which of its fields that is possible; one that needs more is left to the resolvers.

/** Takes each text of an answer, of which there may be any number and size, and returns it. */
export type CountText = (text: string) => string;

/** Reads what a field shows of a row, serialised: the same as its resolver and its type give together. */
type ReadField<Row> = (row: Row, count: CountText) => unknown;

/** Makes the reader of a field out of what a document selects of it. Null: it needs its resolver. */
type CompileField<Row> = (field: SelectedField) => ReadField<Row> | null;

/** An object type of which some fields can be read from its rows. */
export interface PlainType<Row> {
  readonly name: string;
  readonly fields: Readonly<Record<string, CompileField<Row>>>;
}

/** Makes the object of the answer out of a row. */
export type Project<Row> = (row: Row, count: CountText) => Record<string, unknown>;

/** One key of the answer, and the nodes of the document that stand for it. */
export interface SelectedField {
  readonly key: string;
  /** The first of the nodes: all have the same name and arguments. */
  readonly node: FieldNode;
  readonly nodes: readonly FieldNode[];
  /** What is selected on an object of this type, which the field returns. */
  readonly select: (typeName: string) => readonly SelectedField[];
}

/** A value that the row holds. Texts that may have any size are no such values: {@link text}. */
export function value<Row>(read: (row: Row) => unknown): CompileField<Row> {
  return (field) => (hasArguments(field) ? null : read);
}

/** A text. It is counted against what the answer may hold. */
export function text<Row>(read: (row: Row) => string | null): CompileField<Row> {
  return (field) => {
    if (hasArguments(field)) return null;
    return (row, count) => {
      const found = read(row);
      return found === null ? null : count(found);
    };
  };
}

/** An object that the row holds; null: there is none. */
export function object<Row, Child>(type: PlainType<Child>, read: (row: Row) => Child | null): CompileField<Row> {
  return (field) => {
    const project = compileObject(type, field);
    if (hasArguments(field) || project === null) return null;
    return (row, count) => {
      const child = read(row);
      return child === null ? null : project(child, count);
    };
  };
}

/** A list that the row holds. */
export function list<Row, Child>(type: PlainType<Child>, read: (row: Row) => readonly Child[]): CompileField<Row> {
  return (field) => {
    const project = compileObject(type, field);
    if (hasArguments(field) || project === null) return null;
    return (row, count) => read(row).map((child) => project(child, count));
  };
}

/** What a document selects of a field, whatever its arguments are. Null: a part of it needs resolvers. */
export function compileObject<Row>(type: PlainType<Row>, field: SelectedField): Project<Row> | null {
  const entries: { readonly key: string; readonly read: ReadField<Row> }[] = [];
  for (const selected of field.select(type.name)) {
    const read = compileField(type, selected);
    // As a key, it would set the prototype.
    if (read === null || selected.key === '__proto__') return null;
    entries.push({ key: selected.key, read });
  }
  return (row, count) => {
    const answer: Record<string, unknown> = {};
    for (const { key, read } of entries) answer[key] = read(row, count);
    return answer;
  };
}

function compileField<Row>(type: PlainType<Row>, field: SelectedField): ReadField<Row> | null {
  const name = nameOf(field);
  if (name === '__typename') return () => type.name;
  const compile = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
  return compile?.(field) ?? null;
}

/** The name of a field in the schema. */
export function nameOf({ node }: SelectedField): string {
  return node.name.value;
}

function hasArguments({ node }: SelectedField): boolean {
  return (node.arguments?.length ?? 0) > 0;
}
