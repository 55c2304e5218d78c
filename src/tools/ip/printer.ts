/**
 * Output of the `ip` tool: the same calls write text or JSON, so that both always hold the same. JSON is laid out as
 * iproute2 lays it out, compact or (`-p`) indented in its own way.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Open = { [key: string]: Json } | Json[];

export class Printer {
  readonly json: boolean;
  /** `-o`: one record a line, with a backslash where a line would break. */
  readonly oneline: boolean;
  text = '';
  readonly #root: Json[] = [];
  #stack: Open[] = [this.#root];

  constructor(json: boolean, oneline: boolean) {
    this.json = json;
    this.oneline = oneline;
  }

  #put(key: string | undefined, value: Json | Open): void {
    const top = this.#stack[this.#stack.length - 1];
    if (Array.isArray(top)) top.push(value as Json);
    else if (key !== undefined) top[key] = value as Json;
  }

  /** Text only. */
  raw(text: string): void {
    if (!this.json) this.text += text;
  }

  /** JSON only. */
  value(key: string | undefined, value: Json): void {
    if (this.json) this.#put(key, value);
  }

  /** One field: a JSON member, or the text given. */
  field(key: string, value: Json, text: string): void {
    if (this.json) this.#put(key, value);
    else this.text += text;
  }

  /** Opens a JSON object or array; nothing in text. */
  open(kind: 'object' | 'array', key?: string): void {
    if (!this.json) return;
    const next: Open = kind === 'object' ? {} : [];
    this.#put(key, next);
    this.#stack.push(next);
  }

  /** Closes what was opened last. */
  close(): void {
    if (this.json) this.#stack.pop();
  }

  /** A line break inside a record. */
  newline(): void {
    if (!this.json) this.text += this.oneline ? '\\' : '\n';
  }

  /** The end of a record. */
  end(): void {
    if (!this.json) this.text += '\n';
  }

  /** Everything printed. */
  finish(pretty: boolean): string {
    return this.json ? `${writeJson(this.#root, pretty)}\n` : this.text;
  }
}

/** JSON as iproute2's json_writer lays it out. */
export function writeJson(value: Json, pretty: boolean, depth = 0): string {
  const line = (n: number): string => (pretty ? `\n${'    '.repeat(n)}` : '');
  if (Array.isArray(value)) {
    const items = value.map((item) => writeJson(item, pretty, depth + 1)).join(',');
    return pretty ? `[ ${items}${value.length > 0 ? ' ' : ''}]` : `[${items}]`;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).map(
      ([key, item]) =>
        `${line(depth + 1)}${JSON.stringify(key)}:${pretty ? ' ' : ''}${writeJson(item, pretty, depth + 1)}`,
    );
    return `{${members.join(',')}${members.length > 0 ? line(depth) : ''}}`;
  }
  return JSON.stringify(value);
}
