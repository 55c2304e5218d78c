/**
 * One suite of random operations on every map type, answered by netloom and by this machine's kernel through bpf(2)
 * (bpf-maps.py): every answer must be the same, errno for errno and byte for byte.
 */
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BpfMap } from '../src/bpf/maps/map.ts';
import {
  mapDelete,
  mapEntries,
  mapFreeze,
  mapLookup,
  mapNextKey,
  mapTake,
  mapUpdate,
} from '../src/bpf/maps/syscall.ts';
import { TestHost } from '../src/bpf/maps/test-host.ts';
import * as b from '../src/wire/uapi/bpf.ts';

type Spec = readonly [type: number, keySize: number, valueSize: number, maxEntries: number, flags: number];
type Op = readonly [op: string, key: string, value: string, flags: number];
type Job = { readonly spec: Spec; readonly ops: readonly Op[] };

function ask(jobs: readonly Job[]): { cpus: number; answers: unknown[] } | string {
  const script = new URL('./bpf-maps.py', import.meta.url).pathname;
  const input = jobs.map((job) => JSON.stringify(job)).join('\n');
  const { stdout, stderr, status } = spawnSync('python3', [script], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) return stderr?.trim().split('\n').at(-1) ?? 'no python3';
  const [cpus, ...answers] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  return { cpus: cpus as number, answers };
}

/** Why this machine's kernel cannot be asked; undefined: it can. */
function unable(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  const probe = ask([{ spec: [b.BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0], ops: [] }]);
  if (typeof probe === 'string') return probe;
  return Array.isArray(probe.answers[0]) ? undefined : `bpf() answers ${String(probe.answers[0])}`;
}
const reason = unable();
if (reason !== undefined) console.log(`maps against this machine's kernel skipped: ${reason}`);

const hex = (bytes: Uint8Array | number): string | number =>
  typeof bytes === 'number' ? bytes : Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** What a program's helper call answers; lookups and takes: the value's first eight bytes. */
function runHelper(host: TestHost, map: BpfMap, [op, keyHex, valueHex, flags]: Op): unknown {
  const { heap, u8 } = host.slab;
  const keyAt = heap.alloc(32);
  const valueAt = heap.alloc(32);
  u8.set(bytes(keyHex), keyAt);
  u8.set(bytes(valueHex), valueAt);
  const outcome = (result: number, at: number): string | number => (result === 0 ? hex(u8.slice(at, at + 8)) : result);
  const act = (): unknown => {
    if (op === 'pupdate') return map.update(keyAt, valueAt, flags);
    if (op === 'pdelete') return map.delete(keyAt);
    if (op === 'ppush') return map.push(valueAt, flags);
    if (op === 'ppop') return outcome(map.pop(valueAt), valueAt);
    if (op === 'ppeek') return outcome(map.peekElem(valueAt), valueAt);
    const found = map.lookup(keyAt);
    return found === 0 ? -2 : outcome(0, found);
  };
  const answer = act();
  heap.free(keyAt);
  heap.free(valueAt);
  return answer;
}

function run(map: BpfMap, [op, keyHex, valueHex, flags]: Op): unknown {
  const keyless = map.keySize === 0;
  const key = keyless ? new Uint8Array() : bytes(keyHex);
  switch (op) {
    case 'lookup':
      return hex(mapLookup(map, map.type === b.BPF_MAP_TYPE_BLOOM_FILTER ? bytes(valueHex) : key, flags));
    case 'update': {
      const value = new Uint8Array(map.userValueSize);
      value.set(bytes(valueHex));
      return mapUpdate(map, key, value, flags);
    }
    case 'delete':
      return mapDelete(map, key);
    case 'next':
      return hex(mapNextKey(map, keyless ? undefined : key));
    case 'first':
      return hex(mapNextKey(map, undefined));
    case 'take':
      return hex(mapTake(map, key, flags));
    case 'freeze':
      return mapFreeze(map);
    default:
      return [...mapEntries(map)].filter(([k]) => k.length > 0).map(([k, v]) => [hex(k), hex(v)]);
  }
}

/** Keys that often meet, and values whose bytes all count. */
const word = (n: number): string => Buffer.from(Uint32Array.of(n).buffer).toString('hex');

function operations({ spec, keys, ordered, helpers }: Case): fc.Arbitrary<Op[]> {
  const [, , valueSize] = spec;
  const user = [
    'update',
    'update',
    'update',
    'lookup',
    'delete',
    'take',
    ordered === true ? 'next' : 'lookup',
    'first',
  ];
  const op = fc.tuple(
    fc.constantFrom(...user, ...(helpers ?? [])),
    keys,
    fc.integer({ min: 0, max: 60 }).map((n) => n.toString(16).padStart(2, '0').repeat(valueSize)),
    fc.constantFrom(0, 0, 0, 0, 1, 2, 3, 4, 8),
  );
  return fc.array(op, { minLength: 1, maxLength: 60 }).map((ops) => [...ops, ['dump', '', '', 0]] as Op[]);
}

const smallKeys = (size: number, count: number): fc.Arbitrary<string> =>
  fc.nat(count - 1).map((n) => (word(n) + (n & 1 ? 'ff' : '00').repeat(size)).slice(0, size * 2));
const prefixes = fc
  .tuple(fc.nat(33), fc.constantFrom('0a000000', '0a010203', '0a0102ff', '0a80ffff', 'c0a80001', '00000000'))
  .map(([bits, data]) => word(bits) + data);

type Case = {
  readonly name: string;
  readonly spec: Spec;
  readonly keys: fc.Arbitrary<string>;
  /** get_next_key has an order that both share. */
  readonly ordered?: boolean;
  /** What programs do with it, beside user space. Their values have eight bytes. */
  readonly helpers?: readonly string[];
};

const HELPER_OPS: ReadonlySet<string> = new Set(['pupdate', 'plookup', 'pdelete', 'ppush', 'ppop', 'ppeek']);
const KEYED = ['pupdate', 'pupdate', 'plookup', 'plookup', 'pdelete'];
const KEYLESS = ['ppush', 'ppush', 'ppop', 'ppeek'];

const index = smallKeys(4, 6);
const CASES: readonly Case[] = [
  { name: 'array', spec: [b.BPF_MAP_TYPE_ARRAY, 4, 5, 4, 0], keys: index, ordered: true },
  {
    name: 'array under programs',
    spec: [b.BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0],
    keys: index,
    ordered: true,
    helpers: KEYED,
  },
  {
    name: 'percpu array under programs',
    spec: [b.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0],
    keys: index,
    ordered: true,
    helpers: KEYED,
  },
  {
    name: 'LPM trie under programs',
    spec: [b.BPF_MAP_TYPE_LPM_TRIE, 8, 8, 12, b.BPF_F_NO_PREALLOC],
    keys: prefixes,
    ordered: true,
    helpers: KEYED,
  },
  { name: 'array for reading', spec: [b.BPF_MAP_TYPE_ARRAY, 4, 8, 4, b.BPF_F_RDONLY], keys: index, ordered: true },
  { name: 'array for writing', spec: [b.BPF_MAP_TYPE_ARRAY, 4, 8, 4, b.BPF_F_WRONLY], keys: index, ordered: true },
  { name: 'percpu array', spec: [b.BPF_MAP_TYPE_PERCPU_ARRAY, 4, 5, 4, 0], keys: index, ordered: true },
  { name: 'hash', spec: [b.BPF_MAP_TYPE_HASH, 4, 8, 4, 0], keys: index, helpers: KEYED },
  { name: 'hash, keys of 7 bytes', spec: [b.BPF_MAP_TYPE_HASH, 7, 3, 30, 0], keys: smallKeys(7, 40) },
  {
    name: 'hash, not preallocated',
    spec: [b.BPF_MAP_TYPE_HASH, 4, 8, 4, b.BPF_F_NO_PREALLOC],
    keys: index,
    helpers: KEYED,
  },
  { name: 'percpu hash', spec: [b.BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 4, 0], keys: index, helpers: KEYED },
  { name: 'LRU hash', spec: [b.BPF_MAP_TYPE_LRU_HASH, 4, 8, 4, 0], keys: smallKeys(4, 9), helpers: KEYED },
  { name: 'larger LRU hash', spec: [b.BPF_MAP_TYPE_LRU_HASH, 4, 8, 24, 0], keys: smallKeys(4, 60), helpers: KEYED },
  {
    name: 'LRU hash of each CPU',
    spec: [b.BPF_MAP_TYPE_LRU_HASH, 4, 8, 8, b.BPF_F_NO_COMMON_LRU],
    keys: smallKeys(4, 20),
    helpers: KEYED,
  },
  {
    name: 'LRU percpu hash',
    spec: [b.BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 5, 0],
    keys: smallKeys(4, 9),
    helpers: KEYED,
  },
  { name: 'LPM trie', spec: [b.BPF_MAP_TYPE_LPM_TRIE, 8, 4, 12, b.BPF_F_NO_PREALLOC], keys: prefixes, ordered: true },
  { name: 'queue', spec: [b.BPF_MAP_TYPE_QUEUE, 0, 8, 3, 0], keys: index, helpers: KEYLESS },
  { name: 'stack', spec: [b.BPF_MAP_TYPE_STACK, 0, 8, 3, 0], keys: index, helpers: KEYLESS },
  { name: 'bloom filter', spec: [b.BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 4096, 0], keys: index },
  { name: 'prog array', spec: [b.BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'perf event array', spec: [b.BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'cgroup array', spec: [b.BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'devmap', spec: [b.BPF_MAP_TYPE_DEVMAP, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'devmap hash', spec: [b.BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 3, 0], keys: index },
  { name: 'cpumap', spec: [b.BPF_MAP_TYPE_CPUMAP, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'sockmap', spec: [b.BPF_MAP_TYPE_SOCKMAP, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'sockmap with cookies', spec: [b.BPF_MAP_TYPE_SOCKMAP, 4, 8, 4, 0], keys: index, ordered: true },
  { name: 'sockhash', spec: [b.BPF_MAP_TYPE_SOCKHASH, 4, 8, 4, 0], keys: index },
  { name: 'xskmap', spec: [b.BPF_MAP_TYPE_XSKMAP, 4, 4, 4, 0], keys: index, ordered: true },
  { name: 'reuseport sockarray', spec: [b.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 4, 0], keys: index, ordered: true },
  { name: 'ring buffer', spec: [b.BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0], keys: fc.constant('') },
  { name: 'user ring buffer', spec: [b.BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0], keys: fc.constant('') },
  { name: 'stack trace', spec: [b.BPF_MAP_TYPE_STACK_TRACE, 4, 16, 3, 0], keys: index, ordered: true },
  { name: 'cgroup storage', spec: [b.BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, 0], keys: smallKeys(8, 3) },
];

/** A device that exists on both sides is 1 (lo); programs, sockets and perf events exist on neither. */
function fill(spec: Spec, ops: readonly Op[]): Op[] {
  const number = spec[0] === b.BPF_MAP_TYPE_DEVMAP || spec[0] === b.BPF_MAP_TYPE_DEVMAP_HASH;
  const handles = [3, 4, 8, 15, 17, 18, 20].includes(spec[0]);
  const [, , size] = spec;
  return ops.map(([op, key, value, flags]) => {
    const n = Number.parseInt(value.slice(0, 2) || '0', 16);
    if (number) return [op, key, (word(n % 3 === 2 ? 999_999 : n % 3) + '00'.repeat(8)).slice(0, size * 2), flags];
    if (handles) return [op, key, (word(900_000 + n) + '00'.repeat(8)).slice(0, size * 2), flags];
    return [op, key, value, flags];
  });
}

/** Dumps as sets, and of a first key only that there is one, where the order is the hash function's. */
const comparable = (answers: readonly unknown[], ops: readonly Op[], ordered: boolean): unknown[] =>
  answers.map((answer, i) => {
    if (ordered) return answer;
    if (Array.isArray(answer)) return answer.map((entry) => JSON.stringify(entry)).sort();
    return ops[i][0] === 'first' && typeof answer === 'string' ? 'a key' : answer;
  });

test.skipIf(reason !== undefined).each(CASES)("every answer of a $name is the kernel's", (each) => {
  const { spec, ordered } = each;
  const seed = Number(process.env.NETLOOM_SEED ?? 1);
  const runs = Number(process.env.NETLOOM_RUNS ?? 20);
  const samples = fc.sample(operations(each), { seed, numRuns: runs });
  const jobs = samples.map((ops) => ({ spec, ops: fill(spec, ops) }));
  const asked = ask(jobs);
  if (typeof asked === 'string') throw new Error(asked);
  for (const [i, { ops }] of jobs.entries()) {
    const host = new TestHost(asked.cpus);
    const [type, keySize, valueSize, maxEntries, flags] = spec;
    const map = host.make({ type, keySize, valueSize, maxEntries, flags });
    const answers = ops.map((op) => (HELPER_OPS.has(op[0]) ? runHelper(host, map, op) : run(map, op)));
    const kernel = asked.answers[i] as unknown[];
    const ours = comparable(answers, ops, ordered === true);
    const theirs = comparable(kernel, ops, ordered === true);
    const wrong = ours.findIndex((answer, n) => JSON.stringify(answer) !== JSON.stringify(theirs[n]));
    if (wrong < 0) continue;
    const story = ops.slice(0, wrong + 1).map((op, n) => `${op.join(' ')} -> ${JSON.stringify(theirs[n])}`);
    expect.fail(`${story.join('\n')}\nnetloom: ${JSON.stringify(ours[wrong])}`);
  }
});
