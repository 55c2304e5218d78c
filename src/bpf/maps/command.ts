/**
 * `bpftool map` (bpftool-map(8)): show, dump, lookup, update, delete, getnext, peek, push, pop, enqueue, dequeue, freeze, in its
 * words, its text and its JSON. Beyond it, keys and values may be given by their BTF, as JSON: `key json 7 value json '{"a":1}'`.
 */
import { EINVAL, ENOENT, strerror } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import type { Btf } from '../btf/btf.ts';
import { ENOTSUPP } from './create.ts';
import { round8 } from './layout.ts';
import type { BpfMap } from './map.ts';
import * as sys from './syscall.ts';
import { list, readTyped, struct, type Typed, TypedError, typedText, writeTyped } from './typed.ts';

export type MapCommandHost = {
  /** All maps there are. */
  readonly maps: readonly BpfMap[];
  readonly cpus: number;
  /** The BTF that a map's types are numbers in. */
  btf?(map: BpfMap): Btf | undefined;
};

export type MapCommandOptions = { readonly json?: boolean; readonly pretty?: boolean };

/** Exit code, output for people or as JSON, and what goes to standard error. */
export type MapCommandResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

class CommandError extends Error {
  readonly errno: number;
  constructor(message: string, errno = 1) {
    super(message);
    this.errno = errno;
  }
}

const errorText = (errno: number): string => (errno === ENOTSUPP ? 'Unknown error 524' : strerror(errno));

/** Runs the words behind `bpftool map`. */
export function mapCommand(
  words: readonly string[],
  host: MapCommandHost,
  options: MapCommandOptions = {},
): MapCommandResult {
  try {
    return new MapCommand(words, host, options).run();
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof TypedError)) throw error;
    const code = error instanceof CommandError ? -error.errno & 255 : 255;
    if (options.json === true) return { code, stdout: `{"error":${JSON.stringify(error.message)}}\n`, stderr: '' };
    return { code, stdout: '', stderr: `Error: ${error.message}\n` };
  }
}

class MapCommand {
  readonly #words: string[];
  readonly #host: MapCommandHost;
  readonly #json: boolean;
  readonly #pretty: boolean;

  constructor(words: readonly string[], host: MapCommandHost, options: MapCommandOptions) {
    this.#words = [...words];
    this.#host = host;
    this.#json = options.json === true || options.pretty === true;
    this.#pretty = options.pretty === true || !this.#json;
  }

  run(): MapCommandResult {
    const command = this.#words.shift() ?? 'show';
    const full = COMMANDS.find((name) => name.startsWith(command));
    switch (full) {
      case 'show':
      case 'list':
        return this.#show();
      case 'dump':
        return this.#each('dump', (map) => this.#dump(map));
      case 'lookup':
        return this.#each('lookup', (map) => this.#lookup(map));
      case 'peek':
        return this.#each('peek', (map) => this.#value(map, sys.mapLookup(map, new Uint8Array()), 'null'));
      case 'pop':
      case 'dequeue':
        return this.#each('pop', (map) => this.#value(map, sys.mapTake(map, new Uint8Array()), 'null'));
      case 'getnext':
        return this.#each('getnext', (map) => this.#getNext(map));
      case 'update':
      case 'push':
      case 'enqueue':
        return this.#each('update', (map) => this.#update(map));
      case 'delete':
        return this.#each('delete', (map) => this.#done(sys.mapDelete(map, this.#key(map)), 'delete failed'));
      case 'freeze':
        return this.#each('freeze', (map) => this.#done(sys.mapFreeze(map), 'failed to freeze map'));
      default:
        throw new CommandError(`netloom does not support 'map ${command}'; it has ${COMMANDS.join(', ')}`);
    }
  }

  #out(text: string, code = 0): MapCommandResult {
    return { code, stdout: text === '' ? '' : `${text}\n`, stderr: '' };
  }

  /** The maps that `id N` or `name NAME` means. */
  #maps(): readonly BpfMap[] {
    const kind = this.#words.shift();
    const what = this.#words.shift();
    if (what === undefined) throw new CommandError("expected 'id' or 'name'");
    if (kind !== undefined && 'id'.startsWith(kind)) {
      if (!/^[0-9]+$/.test(what)) throw new CommandError(`can't parse '${what}' as ID`);
      const found = this.#host.maps.filter((map) => map.id === Number(what));
      if (found.length === 0) throw new CommandError(`get map by id (${what}): ${strerror(ENOENT)}`);
      return found;
    }
    if (kind !== undefined && 'name'.startsWith(kind)) {
      const found = this.#host.maps.filter((map) => map.name === what || map.name.slice(0, 15) === what);
      if (found.length === 0) throw new CommandError(`can't find map of name '${what}'`);
      return found;
    }
    if (kind === 'pinned') throw new CommandError('netloom does not support pinned maps here');
    throw new CommandError(`expected 'id' or 'name', got: '${kind ?? ''}'?`);
  }

  #each(name: string, act: (map: BpfMap) => MapCommandResult): MapCommandResult {
    const maps = this.#maps();
    if (maps.length > 1 && name !== 'dump') throw new CommandError('several maps match this handle');
    const results = maps.map(act);
    const code = results.find((r) => r.code !== 0)?.code ?? 0;
    return { code, stdout: results.map((r) => r.stdout).join(''), stderr: results.map((r) => r.stderr).join('') };
  }

  #show(): MapCommandResult {
    const all = this.#words.length === 0;
    const maps = all ? this.#host.maps : this.#maps();
    if (!this.#json) return this.#out(maps.map((map) => showText(map)).join('\n'));
    const items = maps.map((map) => struct(showMembers(map), all ? 1 : 0, this.#pretty));
    return this.#out(all ? list(items, 0, this.#pretty) : items.join(''));
  }

  #types(map: BpfMap): Types | undefined {
    const btf = this.#host.btf?.(map);
    if (btf === undefined || !map.btfValueType) return undefined;
    return { btf, key: map.btfKeyType ?? 0, value: map.btfValueType };
  }

  /** Data behind a word: `hex 01 02`, bytes in C's notation, or `json TEXT` by the type. */
  #data(size: number, what: string, type: { btf: Btf; id: number } | undefined): Uint8Array {
    if (this.#words[0] === 'json') {
      this.#words.shift();
      const text = this.#words.shift();
      if (type === undefined) throw new CommandError(`the ${what} has no BTF: give its bytes`);
      return writeTyped(type.btf, type.id, parseJson(text ?? '', what));
    }
    const hex = this.#words[0] === 'hex';
    if (hex) this.#words.shift();
    const bytes: number[] = [];
    while (bytes.length < size && this.#words.length > 0) {
      const word = this.#words[0];
      if (word === 'value' || UPDATE_FLAGS.has(word)) break;
      const valid = hex ? /^(0x)?[0-9a-f]{1,2}$/i.test(word) : /^(0x[0-9a-f]+|[0-9]+)$/i.test(word);
      const byte = hex ? Number.parseInt(word, 16) : Number(word);
      if (!valid || byte > 255) throw new CommandError(`error parsing byte: ${word}`);
      bytes.push(byte);
      this.#words.shift();
    }
    if (bytes.length < size) throw new CommandError(`${what} expected ${size} bytes got ${bytes.length}`);
    return Uint8Array.from(bytes);
  }

  #key(map: BpfMap): Uint8Array {
    const types = this.#types(map);
    if (this.#words.shift() !== 'key') throw new CommandError("'key' expected");
    return this.#data(map.keySize, 'key', types && { btf: types.btf, id: types.key });
  }

  #dump(map: BpfMap): MapCommandResult {
    const types = this.#types(map);
    // A program array has only the slots that are set.
    const skip = map.type === b.BPF_MAP_TYPE_PROG_ARRAY || map.type === b.BPF_MAP_TYPE_ARRAY_OF_MAPS;
    const entries: string[] = [];
    let errno = 0;
    for (const [key, value] of sys.mapEntries(map)) {
      if (key.length === 0 && typeof value === 'number') errno = -value;
      else if (typeof value !== 'number') entries.push(this.#entry(map, types, key, value, 1));
      else if (!skip || value !== -ENOENT) entries.push(this.#missing(key, value, 1));
    }
    const code = -errno & 255;
    if (this.#json || types !== undefined) return this.#out(list(entries, 0, this.#pretty), code);
    const count = entries.length === 1 ? 'Found 1 element' : `Found ${entries.length} elements`;
    return this.#out([...entries, count].join('\n'), code);
  }

  /** One element, as an item at `depth`. */
  #entry(map: BpfMap, types: Types | undefined, key: Uint8Array, value: Uint8Array, depth: number): string {
    if (!this.#json)
      return types === undefined
        ? plainEntry(map, key, value, this.#host.cpus)
        : this.#formatted(map, types, key, value, depth);
    const cpus = splitCpus(map, value, this.#host.cpus);
    const inner = depth + 1;
    const members: [string, string][] = [['key', this.#hexList(key, inner)]];
    if (cpus === undefined) members.push(['value', this.#hexList(value, inner)]);
    else members.push(['values', this.#perCpu(cpus, inner, (bytes, d) => this.#hexList(bytes, d))]);
    if (types !== undefined) members.push(['formatted', this.#formatted(map, types, key, value, inner)]);
    return struct(members, depth, this.#pretty);
  }

  #formatted(map: BpfMap, types: Types, key: Uint8Array, value: Uint8Array, depth: number): string {
    const text = (id: number, bytes: Uint8Array, d: number): string =>
      typedText(this.#read(types.btf, id, bytes), !this.#json, d, this.#pretty);
    const cpus = splitCpus(map, value, this.#host.cpus);
    const members: [string, string][] = [];
    if (types.key !== 0) members.push(['key', text(types.key, key, depth + 1)]);
    if (cpus === undefined) members.push(['value', text(types.value, value, depth + 1)]);
    else members.push(['values', this.#perCpu(cpus, depth + 1, (bytes, d) => text(types.value, bytes, d))]);
    return struct(members, depth, this.#pretty);
  }

  #read(btf: Btf, id: number, bytes: Uint8Array): Typed {
    return readTyped(btf, id, bytes);
  }

  #perCpu(cpus: readonly Uint8Array[], depth: number, write: (bytes: Uint8Array, depth: number) => string): string {
    const items = cpus.map((bytes, cpu) =>
      struct(
        [
          ['cpu', String(cpu)],
          ['value', write(bytes, depth + 2)],
        ],
        depth + 1,
        this.#pretty,
      ),
    );
    return list(items, depth, this.#pretty);
  }

  #hexList(bytes: Uint8Array, depth: number): string {
    return list(
      [...bytes].map((byte) => `"0x${hexByte(byte)}"`),
      depth,
      this.#pretty,
    );
  }

  #missing(key: Uint8Array, error: number, depth: number): string {
    const message = errorText(-error);
    if (!this.#json) return `key:\n${hexRows(key)}\nvalue:\n${message}`;
    const inner = struct([['error', JSON.stringify(message)]], depth + 1, this.#pretty);
    return struct(
      [
        ['key', this.#hexList(key, depth + 1)],
        ['value', inner],
      ],
      depth,
      this.#pretty,
    );
  }

  #lookup(map: BpfMap): MapCommandResult {
    const key = this.#key(map);
    const value = sys.mapLookup(map, key);
    if (value === -ENOENT) return this.#out(this.#json ? 'null' : `key:\n${hexRows(key)}\n\nNot found`, -ENOENT & 255);
    if (typeof value === 'number') throw new CommandError(`lookup failed: ${errorText(-value)}`, -value);
    return this.#out(this.#entry(map, this.#types(map), key, value, 0));
  }

  #value(map: BpfMap, value: Uint8Array | number, none: string): MapCommandResult {
    if (value === -ENOENT) return this.#out(this.#json ? none : 'Error: empty map', this.#json ? 0 : -ENOENT & 255);
    if (typeof value === 'number') throw new CommandError(`lookup failed: ${errorText(-value)}`, -value);
    const types = this.#types(map);
    if (!this.#json && types === undefined) return this.#out(`value: ${hexRows(value)}`);
    const members: [string, string][] = [];
    if (this.#json) members.push(['value', this.#hexList(value, 1)]);
    if (types !== undefined)
      members.push([
        this.#json ? 'formatted' : 'value',
        typedText(this.#read(types.btf, types.value, value), !this.#json, 1, this.#pretty),
      ]);
    return this.#out(struct(members, 0, this.#pretty));
  }

  #getNext(map: BpfMap): MapCommandResult {
    const key = this.#words.length === 0 ? undefined : this.#key(map);
    const next = sys.mapNextKey(map, key);
    if (typeof next === 'number') throw new CommandError(`can't get next key: ${errorText(-next)}`, -next);
    if (!this.#json) {
      const from = key === undefined ? 'key: None' : `key:\n${hexRows(key)}`;
      return this.#out(`${from}\nnext key:\n${hexRows(next)}`);
    }
    const members: [string, string][] = [
      ['key', key === undefined ? 'null' : this.#hexList(key, 1)],
      ['next_key', this.#hexList(next, 1)],
    ];
    return this.#out(struct(members, 0, this.#pretty));
  }

  #update(map: BpfMap): MapCommandResult {
    const types = this.#types(map);
    const key = map.keySize === 0 ? new Uint8Array() : this.#key(map);
    if (this.#words.shift() !== 'value') throw new CommandError("'value' expected");
    const one =
      this.#mapOrProgram(map) ?? this.#data(map.valueSize, 'value', types && { btf: types.btf, id: types.value });
    // Every CPU of a per-CPU map gets the same.
    const value = new Uint8Array(map.userValueSize);
    for (let at = 0; at < value.length; at += round8(map.valueSize)) value.set(one, at);
    const flag = this.#words.shift();
    const flags = flag === undefined ? b.BPF_ANY : UPDATE_FLAGS.get(flag);
    if (flags === undefined) throw new CommandError(`expected 'any', 'exist' or 'noexist', got: '${flag}'?`);
    return this.#done(sys.mapUpdate(map, key, value, flags), 'update failed');
  }

  /** `id N` in place of a value: a map or a program by number. */
  #mapOrProgram(map: BpfMap): Uint8Array | undefined {
    if (map.valueSize !== 4 || !'id'.startsWith(this.#words[0] ?? '-')) return undefined;
    this.#words.shift();
    const id = this.#words.shift() ?? '';
    if (!/^[0-9]+$/.test(id)) throw new CommandError(`can't parse '${id}' as ID`);
    return new Uint8Array(Uint32Array.of(Number(id)).buffer);
  }

  #done(result: number, what: string): MapCommandResult {
    if (result !== 0) throw new CommandError(`${what}: ${errorText(-result)}`, -result);
    return this.#out(this.#json ? 'null' : '');
  }
}

type Types = { readonly btf: Btf; readonly key: number; readonly value: number };

const COMMANDS: readonly string[] = [
  'show',
  'list',
  'dump',
  'lookup',
  'update',
  'delete',
  'getnext',
  'peek',
  'push',
  'pop',
  'enqueue',
  'dequeue',
  'freeze',
];

const UPDATE_FLAGS: ReadonlyMap<string, number> = new Map([
  ['any', b.BPF_ANY],
  ['noexist', b.BPF_NOEXIST],
  ['exist', b.BPF_EXIST],
]);

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandError(`the ${what} is not JSON: ${text}`, EINVAL);
  }
}

const typeName = (map: BpfMap): string => b.MAP_TYPE_NAMES[map.type] ?? `type ${map.type}`;

function showMembers(map: BpfMap): [string, string][] {
  const members: [string, string][] = [
    ['id', String(map.id)],
    ['type', JSON.stringify(typeName(map))],
  ];
  if (map.name !== '') members.push(['name', JSON.stringify(map.name)]);
  members.push(
    ['flags', String(map.flags)],
    ['bytes_key', String(map.keySize)],
    ['bytes_value', String(map.valueSize)],
    ['max_entries', String(map.maxEntries)],
    ['frozen', map.isFrozen() ? '1' : '0'],
  );
  return members;
}

function showText(map: BpfMap): string {
  const name = map.name === '' ? '' : `name ${map.name}  `;
  const head = `${map.id}: ${typeName(map)}  ${name}flags 0x${map.flags.toString(16)}`;
  const sizes = `key ${map.keySize}B  value ${map.valueSize}B  max_entries ${map.maxEntries}`;
  return `${head}\n\t${sizes}${map.isFrozen() ? '\n\tfrozen' : ''}`;
}

const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0');

/** Sixteen bytes a line, a gap after eight. */
function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)].map(hexByte);
    rows.push([row.slice(0, 8).join(' '), row.slice(8).join(' ')].filter((part) => part !== '').join('  '));
  }
  return rows.join('\n');
}

/** Each CPU's bytes; undefined for maps that have one value for all. */
function splitCpus(map: BpfMap, value: Uint8Array, cpus: number): Uint8Array[] | undefined {
  if (!PER_CPU.has(map.type)) return undefined;
  const stride = round8(map.valueSize);
  return Array.from({ length: cpus }, (_, cpu) => value.subarray(cpu * stride, cpu * stride + map.valueSize));
}
const PER_CPU: ReadonlySet<number> = new Set([
  b.BPF_MAP_TYPE_PERCPU_ARRAY,
  b.BPF_MAP_TYPE_PERCPU_HASH,
  b.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
]);

/** Key and value on a line when both are short, else below each other. */
function plainEntry(map: BpfMap, key: Uint8Array, value: Uint8Array, cpus: number): string {
  const perCpu = splitCpus(map, value, cpus);
  if (perCpu !== undefined) {
    const long = map.valueSize > 16;
    const values = perCpu.map((bytes, cpu) => {
      const label = `value (CPU ${String(cpu).padStart(2, '0')}):`;
      return long ? `${label}\n${hexRows(bytes)}` : `${label} ${hexRows(bytes)}`;
    });
    return ['key:', hexRows(key), ...values].join('\n');
  }
  if (key.length <= 16 && value.length <= 16 && key.length + value.length <= 24)
    return `key: ${hexRows(key)}  value: ${hexRows(value)}`;
  return `key:\n${hexRows(key)}\nvalue:\n${hexRows(value)}`;
}
