/**
 * Expectation files: the answers of `try`, written down as YAML that a person can read and change, and checked again by
 * `netloom test`.
 *
 *     rules: nftables.conf
 *     interfaces:
 *       lan: [10.0.0.1/24]
 *     routes:
 *       - default via 192.0.2.1 dev wan
 *     expect:
 *       - packet: lan 10.0.0.7 -> 203.0.113.9:443
 *         verdict: forwarded
 *         leaves: wan 192.0.2.2:40000 -> 203.0.113.9:443
 *         reply: forwarded
 */
import { isMap, isScalar, LineCounter, parseDocument, stringify } from 'yaml';
import type { Answer, Outcome, Way } from './answer.ts';
import { type Given, parseIface, parseRoute, type RouteSpec } from './infer.ts';
import { BadInput, oneOf } from './problem.ts';

/** What is expected of one packet. */
export type Expectation = {
  readonly packet: string;
  readonly verdict: Outcome | 'allowed' | 'denied';
  readonly leaves?: string;
  readonly reply?: Outcome | 'allowed' | 'denied' | 'none';
  /** The rule that decided when the file was written; told when the answer changes, not compared. */
  readonly rule?: string;
  readonly line: number;
};

export type ExpectFile = {
  readonly rules: string;
  readonly kind?: string;
  readonly given: Given;
  readonly expect: readonly Expectation[];
};

const OUTCOMES = ['forwarded', 'delivered', 'sent', 'rejected', 'dropped', 'allowed', 'denied'];
const KEYS = ['rules', 'kind', 'interfaces', 'routes', 'expect'];
const PACKET_KEYS = ['packet', 'verdict', 'leaves', 'reply', 'rule'];

/** True when a YAML text is an expectation file (a lab file has `topology`). */
export function isExpectFile(text: string): boolean {
  return /^expect:/m.test(text) && !/^topology:/m.test(text);
}

/** Reads an expectation file. Throws BadInput with the place. */
export function parseExpectFile(text: string, file: string): ExpectFile {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter });
  const lines = text.split('\n');
  const fail = (message: string, offset: number): never => {
    const { line, col } = counter.linePos(offset);
    throw new BadInput(message, { file, line, column: Math.max(0, col - 1), source: lines[line - 1] ?? '' });
  };
  const error = doc.errors[0];
  if (error !== undefined) fail(error.message.split('\n')[0], error.pos[0]);
  if (!isMap(doc.contents)) return fail(`expected a map with ${oneOf(KEYS)}`, 0);
  for (const { key } of doc.contents.items)
    if (isScalar(key) && !KEYS.includes(String(key.value)))
      fail(`unknown key "${key.value}"; expected ${oneOf(KEYS)}`, key.range?.[0] ?? 0);
  const root = doc.toJS() as Record<string, unknown>;
  if (typeof root.rules !== 'string') fail('"rules" is missing: the file that the packets are tried on', 0);
  const list = doc.get('expect');
  const entries = (list as { items?: unknown[] } | undefined)?.items;
  if (!Array.isArray(entries)) return fail('"expect" is missing: a list of packets with their verdicts', 0);
  const expect = entries.map((entry): Expectation => {
    if (!isMap(entry))
      return fail('expected a map with packet and verdict', (entry as { range?: number[] }).range?.[0] ?? 0);
    const at = entry.range?.[0] ?? 0;
    for (const { key } of entry.items)
      if (isScalar(key) && !PACKET_KEYS.includes(String(key.value)))
        fail(`unknown key "${key.value}"; expected ${oneOf(PACKET_KEYS)}`, key.range?.[0] ?? 0);
    const value = entry.toJS(doc) as Record<string, unknown>;
    if (typeof value.packet !== 'string') fail('"packet" is missing', at);
    if (!OUTCOMES.includes(String(value.verdict))) fail(`verdict "${value.verdict}"; expected ${oneOf(OUTCOMES)}`, at);
    if (value.reply !== undefined && ![...OUTCOMES, 'none'].includes(String(value.reply)))
      fail(`reply "${value.reply}"; expected ${oneOf([...OUTCOMES, 'none'])}`, at);
    return { ...(value as unknown as Expectation), line: counter.linePos(at).line };
  });
  const interfaces = (root.interfaces ?? {}) as Record<string, unknown>;
  const ifaces = Object.entries(interfaces).map(([name, addresses]) =>
    parseIface(`${name}=${Array.isArray(addresses) ? addresses.join(',') : (addresses ?? '')}`),
  );
  const routes = (Array.isArray(root.routes) ? root.routes : []).map((route) => parseRoute(String(route)));
  return {
    rules: root.rules as string,
    ...(typeof root.kind === 'string' && { kind: root.kind }),
    given: { ifaces, routes },
    expect,
  };
}

function routeText(route: RouteSpec): string {
  const via = route.via === undefined ? '' : ` via ${route.via}`;
  return `${route.to}${via}${route.dev === undefined ? '' : ` dev ${route.dev}`}`;
}

/** "wan 192.0.2.2:40000 -> 203.0.113.9:443" of a packet that left. */
export function leaves(way: Way): string | undefined {
  if (way.left === undefined || way.dev === undefined) return undefined;
  const m = /^(?:vlan \d+, )*IP6? (\S+) > (\S+):/.exec(way.left);
  if (m === null) return undefined;
  const ends = m
    .slice(1, 3)
    .map((end) => endpoint(end, way.left?.includes('IP6') ?? false, /ICMP/.test(way.left ?? '')));
  return `${way.dev} ${ends[0]} -> ${ends[1]}`;
}

/** "10.0.0.7.40000" as "10.0.0.7:40000". */
function endpoint(text: string, six: boolean, bare: boolean): string {
  if (bare) return text;
  const dot = text.lastIndexOf('.');
  if (dot < 0 || (!six && text.split('.').length < 5)) return text;
  const address = text.slice(0, dot);
  return six ? `[${address}]:${text.slice(dot + 1)}` : `${address}:${text.slice(dot + 1)}`;
}

/** The rule that decided, in words. */
export function decidedBy(way: Way): string | undefined {
  const d = way.decided;
  if (d === undefined) return way.reason;
  if (d.file !== undefined) return `${d.file}:${d.line} ${d.rule ?? ''}`.trim();
  return `${d.verdict} of ${d.chain}`;
}

/** Writes the answers down. */
export function formatExpectFile(
  rules: string,
  kind: string | undefined,
  given: Given,
  answers: readonly Answer[],
): string {
  const body = {
    rules,
    ...(kind !== undefined && { kind }),
    interfaces: Object.fromEntries(given.ifaces.map((i) => [i.name, [...i.addresses]])),
    ...(given.routes.length > 0 && { routes: given.routes.map(routeText) }),
    expect: answers.map((a) => {
      const left = leaves(a.request);
      const rule = decidedBy(a.request);
      return {
        packet: a.packet,
        verdict: a.request.outcome,
        ...(left !== undefined && { leaves: left }),
        reply: a.reply?.outcome ?? 'none',
        ...(rule !== undefined && { rule }),
      };
    }),
  };
  const head = '# Written by `netloom expect`; check with `netloom test`. Change what you know better.\n';
  return head + stringify(body, { lineWidth: 0, flowCollectionPadding: false });
}

function matches(expected: string, got: string): boolean {
  const refused = got === 'dropped' || got === 'rejected';
  if (expected === 'allowed') return !refused && got !== 'none';
  if (expected === 'denied') return refused;
  return expected === got;
}

/** What differs between an expectation and an answer; empty when nothing does. */
export function compare(expected: Expectation, answer: Answer): string {
  const lines: string[] = [];
  const by = (way: Way | undefined): string => {
    const rule = way === undefined ? undefined : decidedBy(way);
    return rule === undefined ? '' : `, by ${rule}`;
  };
  if (!matches(expected.verdict, answer.request.outcome)) {
    const before = expected.rule === undefined ? '' : ` (by ${expected.rule})`;
    lines.push(`expected ${expected.verdict}${before}, now ${answer.request.outcome}${by(answer.request)}`);
  }
  const left = leaves(answer.request);
  if (expected.leaves !== undefined && lines.length === 0 && expected.leaves !== left)
    lines.push(`expected to leave as ${expected.leaves}, now ${left ?? 'it does not leave'}`);
  const reply = answer.reply?.outcome ?? 'none';
  if (expected.reply !== undefined && lines.length === 0 && !matches(expected.reply, reply))
    lines.push(`reply: expected ${expected.reply}, now ${reply}${by(answer.reply)}`);
  return lines.join('\n');
}
