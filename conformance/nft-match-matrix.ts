/**
 * nft-match-matrix: what every rule did to 444 frames and to frames made for it, recorded from Linux. One case per rule
 * and family; it holds when the rule matches exactly the frames it matched there, with the same verdicts, and leaves the
 * same marks and packets behind.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nft } from '../src/tools/nft/index.ts';
import { NFPROTO_ARP, NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV } from '../src/wire/uapi/netfilter.ts';
import { MatrixRouter, type Seen } from './matrix-router.ts';
import type { CaseResult } from './suite.ts';

type Detail = { readonly mark?: number; readonly o?: string; readonly out?: readonly string[] };

type MatrixRecord = {
  readonly rule: string;
  readonly family: string;
  readonly setup: readonly string[];
  readonly hook: string;
  readonly type: string;
  readonly prio: string;
  readonly not_reached: readonly number[];
  readonly match: Readonly<Record<string, readonly number[]>>;
  readonly detail?: Readonly<Record<string, Detail>>;
  readonly directed: readonly { readonly frame: string; readonly r: string }[];
  readonly pre?: string;
  readonly directed_pre?: readonly { readonly frame: string; readonly r: string }[];
  readonly load_error?: string;
};

/** Loads nft text into a router; answers the error text when it is refused. */
export type LoadRules = (router: MatrixRouter, rules: string, id: string) => string | undefined;

const HOOKS: Readonly<Record<string, number>> = {
  ingress: 0,
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
};
const FAMILIES: Readonly<Record<string, readonly number[]>> = {
  ip: [NFPROTO_IPV4],
  ip6: [NFPROTO_IPV6],
  inet: [NFPROTO_IPV4, NFPROTO_IPV6],
  arp: [NFPROTO_ARP],
  bridge: [NFPROTO_BRIDGE],
  netdev: [NFPROTO_NETDEV],
};

/** Base chain declaration of a record. */
function chain(record: MatrixRecord, name: string, priority: string): string {
  const device = record.family === 'netdev' ? ' device eth0' : '';
  return `add chain ${record.family} t ${name} { type ${record.type} hook ${record.hook}${device} priority ${priority}; policy accept; }\n`;
}

function difference(
  want: string,
  seen: Seen,
  detail: Detail | undefined,
  before: string,
  early: boolean,
): string | undefined {
  if (seen.verdict !== want) return `want ${want}, got ${seen.verdict}`;
  if (want !== 'continue' && want !== 'accept') return undefined;
  if (detail?.mark !== undefined && seen.mark !== detail.mark) return `want mark ${detail.mark}, got ${seen.mark}`;
  // Packets were recorded before routing: later hooks see a lower TTL.
  if (!early) return undefined;
  if (detail?.o !== undefined && seen.after !== '' && seen.after !== detail.o)
    return `want packet ${detail.o}, got ${seen.after}`;
  if (detail?.o === undefined && detail?.out === undefined && seen.after !== '' && !before.includes(seen.after))
    return `want packet unchanged, got ${seen.after}`;
  return undefined;
}

/** Objects that the rules of a file name: declared in the file of nft's own tests that the record comes from. */
function objects(root: string, file: string, family: string, rule: string): string {
  const path = join(root, '../nft-py-1.0.6', file.replace('.jsonl', ''));
  if (!existsSync(path)) return '';
  let out = '';
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const object = /^%(\S+) type ([a-z ]+?) (\{.*\}|[^{;]+);ok$/.exec(line);
    if (object && rule.includes(object[1])) out += `add ${object[2]} ${family} t ${object[1]} ${object[3]}\n`;
  }
  return out;
}

/** Judges one record; the differences. */
function judge(
  root: string,
  file: string,
  record: MatrixRecord,
  id: string,
  frames: readonly Buffer[],
  load: LoadRules,
): string[] {
  const router = new MatrixRouter();
  const { family } = record;
  const text =
    `add table ${family} t\n${chain(record, 'c', record.prio)}` +
    record.setup.map((line) => `add ${line.replaceAll('{F}', family).replaceAll('{T}', 't')}\n`).join('');
  const problem = load(
    router,
    `${text}${objects(root, file, family, record.rule)}add rule ${family} t c ${record.rule}\n`,
    id,
  );
  if (problem !== undefined) return [`load: ${problem}`];
  if (record.type !== 'nat')
    router.observe(
      FAMILIES[family],
      record.family === 'arp' ? 0 : HOOKS[record.hook],
      Number(record.prio) + 1,
      family === 'netdev' ? 'eth0' : '',
    );
  const belowIp = ['arp', 'bridge', 'netdev'].includes(family);
  const port = family === 'bridge' ? 'b0' : 'eth0';
  const want = new Map<number, string>();
  for (const i of record.not_reached) want.set(i, 'not_reached');
  for (const [verdict, ids] of Object.entries(record.match)) for (const i of ids) want.set(i, verdict);
  const wrong: string[] = [];
  const early = HOOKS[record.hook] === 0;
  // NAT rules of one family in an inet table were shown packets of that family only.
  const oneFamily = record.type === 'nat' && family === 'inet';
  for (let i = 0; i < frames.length; i++) {
    const seen = router.send(frames[i], port, belowIp);
    if (oneFamily && want.get(i) === 'not_reached') continue;
    const differs = difference(want.get(i) ?? 'no', seen, record.detail?.[i], frames[i].toString('hex'), early);
    if (differs !== undefined) wrong.push(`frame ${i}: ${differs}`);
  }
  const directed = (list: MatrixRecord['directed']): void => {
    for (const { frame, r } of list) {
      const seen = router.send(Buffer.from(frame, 'hex'), port, belowIp);
      if (seen.verdict !== r && !(oneFamily && r === 'not_reached'))
        wrong.push(`frame ${frame}: want ${r}, got ${seen.verdict}`);
    }
  };
  directed(record.directed);
  if (record.pre !== undefined && record.directed_pre !== undefined) {
    const before = load(
      router,
      `${chain(record, 'pre', String(Number(record.prio) - 1))}add rule ${family} t pre ${record.pre}\n`,
      `${id} pre`,
    );
    if (before !== undefined) wrong.push(`load of "${record.pre}": ${before}`);
    else {
      router.host.conntrack.flush();
      directed(record.directed_pre);
    }
  }
  return wrong;
}

/** Judges every record below `root` with the given loader. */
export function* matrix(root: string, load: LoadRules, filter?: RegExp): Iterable<CaseResult> {
  const frames = readFileSync(join(root, 'packets.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Buffer.from((JSON.parse(line) as { frame: string }).frame, 'hex'));
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('.t.jsonl')) continue;
    const lines = readFileSync(join(root, file), 'utf8').trim().split('\n');
    for (let n = 0; n < lines.length; n++) {
      const record = JSON.parse(lines[n]) as MatrixRecord;
      const id = `${file.replace('.t.jsonl', '')} ${record.family}: ${record.rule}`;
      // What the recording kernel refused (options it lacks) shows nothing.
      if (record.load_error !== undefined || (filter && !filter.test(id))) continue;
      const wrong = judge(root, file, record, `${file}#${n}`, frames, load);
      yield wrong.length === 0
        ? { id, ok: true }
        : { id, ok: false, reason: `${wrong.length} differences: ${wrong.slice(0, 3).join('; ')}` };
    }
  }
}

/** Judges every record below `root` whose id matches `filter`. */
export function* run(root: string, filter?: RegExp): Iterable<CaseResult> {
  const load: LoadRules = (router, rules) => {
    const result = nft(['-f', '-'], { ...router.io, stdin: rules });
    return result.code === 0 ? undefined : result.stderr;
  };
  yield* matrix(root, load, filter);
}
