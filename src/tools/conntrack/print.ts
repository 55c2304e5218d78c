/** Connections as text: the lines of `conntrack -L` and `-E`, and what `-o save` writes. */
import { AF_INET } from '../../wire/address.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import type { Flow, FlowTuple } from './flow.ts';
import type { LabelMap } from './labels.ts';
import { NAMES } from './protocols.ts';

/** What a listing needs besides the connection. */
export type Show = {
  readonly output: ReadonlySet<string>;
  readonly labels: LabelMap;
  /** Now, in ms since 1970, for how long a connection has existed. */
  readonly nowMs: number;
};

/** 1: a new connection, 2: a changed one, 3: one that is gone. */
export type EventKind = 1 | 2 | 3;
const EVENT_WORDS: Readonly<Record<EventKind, string>> = { 1: '[NEW]', 2: '[UPDATE]', 3: '[DESTROY]' };

/** "tcp      6 " */
export function protocolColumn(proto: number): string {
  return `${(NAMES.get(proto) ?? 'unknown').padEnd(8)} ${proto} `;
}

export function printTuple(t: FlowTuple): string {
  let out = `src=${t.src} dst=${t.dst} `;
  if (t.icmp) out += `type=${t.icmp.type} code=${t.icmp.code} id=${t.icmp.id} `;
  else if (t.ports && t.proto === 47) out += `srckey=0x${t.ports[0].toString(16)} dstkey=0x${t.ports[1].toString(16)} `;
  else if (t.ports) out += `sport=${t.ports[0]} dport=${t.ports[1]} `;
  return out;
}

function printCounters(pair: readonly [bigint, bigint] | undefined): string {
  return pair === undefined ? '' : `packets=${pair[0]} bytes=${pair[1]} `;
}

const DAYS: readonly string[] = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS: readonly string[] = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** As ctime(3), in UTC. */
function ctime(ns: bigint): string {
  const d = new Date(Number(ns / 1000000n));
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = String(d.getUTCDate()).padStart(2, ' ');
  const clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return `${DAYS[d.getUTCDay()]} ${MONTHS[d.getUTCMonth()]} ${day} ${clock} ${d.getUTCFullYear()}`;
}

/** Seconds that a connection has existed, or existed; undefined when its beginning is not known. */
export function lifetime(flow: Flow, nowMs: number): bigint | undefined {
  if (flow.start === undefined) return undefined;
  return (flow.stop ?? BigInt(Math.floor(nowMs)) * 1000000n) / 1000000000n - flow.start / 1000000000n;
}

/** One line, without the newline. Events tell no use count. */
export function printFlow(flow: Flow, show: Show, event?: EventKind): string {
  const { orig, reply, status } = flow;
  const has = (word: string): boolean => show.output.has(word);
  let out = event === undefined ? '' : `${EVENT_WORDS[event].padStart(9)} `;
  if (has('extended')) out += `${(flow.family === AF_INET ? 'ipv4' : 'ipv6').padEnd(8)} ${flow.family} `;
  out += protocolColumn(orig.proto);
  if (flow.timeout !== undefined) out += `${flow.timeout} `;
  if (flow.state !== undefined) out += `${flow.state.name} `;
  out += printTuple(orig);
  if (orig.zone !== undefined) out += `zone-orig=${orig.zone} `;
  out += printCounters(flow.counters[0]);
  if (!(status & C.IPS_SEEN_REPLY)) out += '[UNREPLIED] ';
  out += printTuple(reply);
  if (reply.zone !== undefined) out += `zone-reply=${reply.zone} `;
  out += printCounters(flow.counters[1]);
  if (status & C.IPS_HW_OFFLOAD) out += '[HW_OFFLOAD] ';
  else if (status & C.IPS_OFFLOAD) out += '[OFFLOAD] ';
  else if (status & C.IPS_ASSURED) out += '[ASSURED] ';
  if (flow.mark !== undefined && (event === undefined || flow.mark !== 0)) out += `mark=${flow.mark} `;
  if (flow.secmark !== 0) out += `secmark=${flow.secmark} `;
  if (flow.secctx !== undefined) out += `secctx=${flow.secctx} `;
  if (flow.zone !== undefined) out += `zone=${flow.zone} `;
  const seconds = lifetime(flow, show.nowMs);
  if (seconds !== undefined) out += `delta-time=${seconds} `;
  if (has('ktimestamp')) {
    if (flow.start !== undefined) out += `[start=${ctime(flow.start)}] `;
    if (flow.stop !== undefined) out += `[stop=${ctime(flow.stop)}] `;
  }
  if (flow.helper !== undefined) out += `helper=${flow.helper} `;
  if (event === undefined && flow.use !== undefined) out += `use=${flow.use} `;
  if (has('id')) out += `id=${flow.id} `;
  if (has('labels') && flow.labels !== undefined && show.labels.found)
    out += `labels=${flow.labels.map((bit) => show.labels.name(bit) ?? String(bit)).join(',')} `;
  return out.trimEnd();
}

const STATUS_WORDS: readonly (readonly [number, string])[] = [
  [C.IPS_SEEN_REPLY, 'SEEN_REPLY'],
  [C.IPS_ASSURED, 'ASSURED'],
  [C.IPS_FIXED_TIMEOUT, 'FIXED_TIMEOUT'],
  [C.IPS_EXPECTED, 'EXPECTED'],
];

function savePorts(flow: Flow): string {
  const { orig, reply } = flow;
  if (orig.icmp !== undefined) {
    const name = orig.proto === 1 ? 'icmp' : 'icmpv6';
    return ` --${name}-type ${orig.icmp.type} --${name}-code ${orig.icmp.code} --${name}-id ${orig.icmp.id}`;
  }
  if (orig.ports === undefined || reply.ports === undefined || orig.proto === 33) return '';
  const [o, r] = [orig.ports, reply.ports];
  return orig.proto === 47
    ? ` --srckey ${o[0]} --dstkey ${o[1]} --reply-key-src ${r[0]} --reply-key-dst ${r[1]}`
    : ` --sport ${o[0]} --dport ${o[1]} --reply-port-src ${r[0]} --reply-port-dst ${r[1]}`;
}

/** A connection as arguments that make it again (`-o save`). */
export function saveFlow(flow: Flow, event?: EventKind): string {
  const { orig, reply } = flow;
  const status = STATUS_WORDS.filter(([bit]) => flow.status & bit).map(([, word]) => word);
  let out = `-${event === 2 ? 'U' : event === 3 ? 'D' : 'A'} -t ${flow.timeout ?? 0} -u ${status.join(',') || 'UNSET'}`;
  if (flow.mark !== undefined && flow.mark !== 0) out += ` -m ${flow.mark}`;
  if (flow.secmark !== 0) out += ` -c ${flow.secmark}`;
  if (flow.zone !== undefined) out += ` -w ${flow.zone}`;
  if (orig.zone !== undefined) out += ` --orig-zone ${orig.zone}`;
  if (reply.zone !== undefined) out += ` --reply-zone ${reply.zone}`;
  out += ` -s ${orig.src} -d ${orig.dst}`;
  out += reply.src === orig.dst ? ` -r ${reply.src}` : ` -g ${reply.src}`;
  out += reply.dst === orig.src ? ` -q ${reply.dst}` : ` -n ${reply.dst}`;
  out += ` -p ${NAMES.get(orig.proto) ?? orig.proto}${savePorts(flow)}`;
  if (flow.state !== undefined) out += ` --state ${flow.state.name}`;
  if (flow.vtags !== undefined) out += ` --orig-vtag ${flow.vtags[0]} --reply-vtag ${flow.vtags[1]}`;
  return out;
}
