/**
 * The few functions of Node that the eBPF suites read their data with, over files that the page fetched beforehand. An import
 * map gives this module to them as `node:fs`, `node:path` and `node:zlib`; what was compressed is not any more.
 */

const text = new TextDecoder();

/** Bytes that print as Node's do. */
export class Bytes extends Uint8Array {
  override toString(encoding = 'utf8'): string {
    if (encoding === 'hex') return Array.from(this, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return text.decode(this);
  }

  /** `Buffer.from`, of bytes, of text or of hexadecimal digits. */
  static of_(source: string | ArrayLike<number>, encoding = 'utf8'): Bytes {
    if (typeof source !== 'string') return new Bytes(Array.from(source));
    if (encoding !== 'hex') return new Bytes(new TextEncoder().encode(source));
    const bytes = new Bytes(source.length >> 1);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(source.slice(2 * i, 2 * i + 2), 16);
    return bytes;
  }
}

/** Where the page puts the files: one map for every module that comes here. */
const files: Map<string, Bytes> = new Map();

export function addFile(path: string, bytes: ArrayBuffer): void {
  files.set(path, new Bytes(bytes));
}

export function join(...parts: readonly string[]): string {
  const out: string[] = [];
  for (const part of parts.join('/').split('/')) {
    if (part === '..') out.pop();
    else if (part !== '' && part !== '.') out.push(part);
  }
  return out.join('/');
}

export const basename = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
export const dirname = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const resolve: typeof join = join;

export function readFileSync(path: string, encoding?: string): Bytes | string {
  const bytes = files.get(join(path));
  if (bytes === undefined) throw new Error(`${path} was not fetched`);
  return encoding === undefined ? bytes : bytes.toString(encoding);
}

export function existsSync(path: string): boolean {
  return files.has(join(path)) || [...files.keys()].some((name) => name.startsWith(`${join(path)}/`));
}

export function readdirSync(path: string): string[] {
  const folder = `${join(path)}/`;
  const names = [...files.keys()].filter((name) => name.startsWith(folder));
  return [...new Set(names.map((name) => name.slice(folder.length).split('/')[0]))];
}

export const gunzipSync = (bytes: Uint8Array): Bytes => (bytes instanceof Bytes ? bytes : new Bytes(bytes));
