/**
 * Reads YAML with positions: every value knows its line and column, so that an unknown key or a wrong value is a named
 * error at its place. Uses the `yaml` package's document tree (YAML 1.2).
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';

/** Something wrong in a lab file: what, and where. */
export class LabError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The message without its position. */
  readonly problem: string;

  constructor(problem: string, file: string, line: number, column: number) {
    super(`${file}:${line}:${column}: ${problem}`);
    this.name = 'LabError';
    this.problem = problem;
    this.file = file;
    this.line = line;
    this.column = column;
  }
}

type Source = { readonly file: string; readonly lines: LineCounter; readonly resolve: (node: Node) => Node };

/** One value of the file. */
export class YamlValue {
  readonly #node: Node | null;
  readonly #source: Source;
  /** How messages call it: "topology.nodes.a.kind". */
  readonly path: string;
  readonly #at: number;

  constructor(node: Node | null, source: Source, path: string, at: number) {
    this.#node = node === null ? null : source.resolve(node);
    this.#source = source;
    this.path = path;
    this.#at = node?.range?.[0] ?? at;
  }

  /** An error at this value. */
  error(problem: string): LabError {
    const { line, col } = this.#source.lines.linePos(this.#at);
    return new LabError(problem, this.#source.file, line, col);
  }

  get isNull(): boolean {
    return this.#node === null || (isScalar(this.#node) && this.#node.value === null);
  }
  get isMap(): boolean {
    return isMap(this.#node);
  }
  get isList(): boolean {
    return isSeq(this.#node);
  }

  #map(): YAMLMap {
    if (!isMap(this.#node)) throw this.error(`${this.path} must be a mapping`);
    return this.#node;
  }

  /** Members of a mapping in order. The key's own position is the second entry's. */
  members(): { readonly key: string; readonly keyValue: YamlValue; readonly value: YamlValue }[] {
    if (this.isNull) return [];
    return this.#map().items.map((pair) => {
      const keyNode = pair.key as Node;
      const key = isScalar(keyNode) ? String(keyNode.value) : '';
      const path = this.path === '' ? key : `${this.path}.${key}`;
      const keyValue = new YamlValue(keyNode, this.#source, path, this.#at);
      return {
        key,
        keyValue,
        value: new YamlValue(pair.value as Node | null, this.#source, path, keyNode.range?.[0] ?? this.#at),
      };
    });
  }

  /** A mapping with known keys only: each known key's value, by key. `refused` are known words netloom has no use for. */
  record(known: readonly string[], refused: readonly string[] = []): Map<string, YamlValue> {
    const out = new Map<string, YamlValue>();
    for (const { key, keyValue, value } of this.members()) {
      if (refused.includes(key)) throw keyValue.error(`netloom does not support "${key}" here`);
      if (!known.includes(key))
        throw keyValue.error(`unknown key "${key}" in ${this.path || 'the file'} (known: ${known.join(', ')})`);
      out.set(key, value);
    }
    return out;
  }

  list(): YamlValue[] {
    if (this.isNull) return [];
    if (!isSeq(this.#node)) throw this.error(`${this.path} must be a list`);
    return this.#node.items.map((item, i) => new YamlValue(item as Node, this.#source, `${this.path}[${i}]`, this.#at));
  }

  /** A scalar as it would be written. */
  text(): string {
    if (!isScalar(this.#node) || this.isNull) throw this.error(`${this.path} must be a text`);
    return String(this.#node.value);
  }

  number(): number {
    const n = isScalar(this.#node) ? Number(this.#node.value) : Number.NaN;
    if (!Number.isFinite(n) || this.isNull) throw this.error(`${this.path} must be a number`);
    return n;
  }

  boolean(): boolean {
    if (!isScalar(this.#node) || typeof this.#node.value !== 'boolean')
      throw this.error(`${this.path} must be true or false`);
    return this.#node.value;
  }

  /** A list of texts, or one text. */
  texts(): string[] {
    return this.isList ? this.list().map((value) => value.text()) : this.isNull ? [] : [this.text()];
  }
}

/** Reads a file's text. Throws LabError for broken YAML. */
export function readYaml(text: string, file: string): YamlValue {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = doc.errors[0];
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new LabError(problem.message, file, line, col);
  }
  const resolve = (node: Node): Node => (isAlias(node) ? (node.resolve(doc) ?? node) : node);
  return new YamlValue(doc.contents as Node | null, { file, lines, resolve }, '', 0);
}
