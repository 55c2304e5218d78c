/**
 * Real BPF objects: files of their own (`/usr/lib/bpf/*.o`), and those that skeletons carry inside executables
 * (xdp-tools, bcc's libbpf-tools, systemd). Finds them below folders, whole or embedded.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

export type FoundObject = { readonly id: string; readonly name: string; readonly bytes: Uint8Array };

/** Where Debian's packages put them; NETLOOM_OBJECTS (folders between colons) adds others. */
export function objectFolders(): string[] {
  const given = (process.env.NETLOOM_OBJECTS ?? '').split(':').filter((d) => d !== '');
  return [...given, '/usr/lib/bpf', '/usr/lib/x86_64-linux-gnu/bpf', '/usr/libexec/xdp-tools'].filter(isFolder);
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

const LARGEST = 16 << 20;

/** All objects below these folders, in a steady order. */
export function* findObjects(folders: readonly string[]): Iterable<FoundObject> {
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) yield* findObjects([path]);
      else if (entry.isFile() && statSync(path).size <= LARGEST) yield* objectsIn(path);
    }
  }
}

function* objectsIn(path: string): Iterable<FoundObject> {
  const file = readFileSync(path);
  if (isObject(file, 0)) {
    yield { id: path, name: basename(path), bytes: new Uint8Array(file) };
    return;
  }
  let count = 0;
  for (let at = file.indexOf('\x7fELF', 4, 'latin1'); at >= 0; at = file.indexOf('\x7fELF', at + 4, 'latin1')) {
    if (!isObject(file, at)) continue;
    const bytes = new Uint8Array(file.subarray(at, at + objectSize(file, at)));
    yield { id: `${path}#${count++}`, name: basename(path), bytes };
  }
}

const littleEndian = (file: Buffer, at: number): boolean => file[at + 5] === 1;
const half = (file: Buffer, at: number, le: boolean): number => (le ? file.readUInt16LE(at) : file.readUInt16BE(at));
const xword = (file: Buffer, at: number, le: boolean): number =>
  Number(le ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at));

/** A 64-bit relocatable ELF file for machine BPF. */
function isObject(file: Buffer, at: number): boolean {
  if (file.length < at + 64 || file.toString('latin1', at, at + 5) !== '\x7fELF\x02') return false;
  const le = littleEndian(file, at);
  return half(file, at + 16, le) === 1 && half(file, at + 18, le) === 247;
}

/** Bytes up to the end of the last section or of the section headers. */
function objectSize(file: Buffer, at: number): number {
  const le = littleEndian(file, at);
  const [table, count] = [xword(file, at + 40, le), half(file, at + 60, le)];
  let end = table + count * 64;
  for (let i = 0; i < count; i++) {
    const header = at + table + i * 64;
    if (header + 64 > file.length) break;
    if ((le ? file.readUInt32LE(header + 4) : file.readUInt32BE(header + 4)) === 8) continue;
    end = Math.max(end, xword(file, header + 24, le) + xword(file, header + 32, le));
  }
  return end;
}
