/**
 * Packets as text: `summary`, one line in the manner of tcpdump, and `tree`, every field on a line of its own. Both take
 * any bytes and never throw.
 */
import { build } from './build.ts';
import { formatField } from './field.ts';
import type { Layer } from './layer.ts';
import { parseFrame, parsePacket } from './parse.ts';
import { bodyTable } from './tables.ts';

const FLAGS = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];

/** TCP flags in tcpdump's letters: "S", "S.", "F.", "none". */
export function tcpFlags(flags: number): string {
  // tcpdump puts the dot of ACK last.
  const order = [0, 1, 2, 3, 5, 6, 7, 4];
  return order.map((i) => (flags & (1 << i) ? FLAGS[i] : '')).join('') || 'none';
}

const ICMP_TEXT: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'destination unreachable',
  4: 'source quench',
  5: 'redirect',
  8: 'echo request',
  9: 'router advertisement',
  10: 'router solicitation',
  11: 'time exceeded',
  12: 'parameter problem',
  13: 'timestamp request',
  14: 'timestamp reply',
};

const ICMP_UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'net unreachable',
  1: 'host unreachable',
  2: 'protocol unreachable',
  3: 'port unreachable',
  4: 'need to frag',
  9: 'net prohibited',
  10: 'host prohibited',
  13: 'admin prohibited',
};

const ICMPV6_TEXT: Readonly<Record<number, string>> = {
  1: 'destination unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  4: 'parameter problem',
  128: 'echo request',
  129: 'echo reply',
  130: 'multicast listener query',
  131: 'multicast listener report',
  132: 'multicast listener done',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation',
  136: 'neighbor advertisement',
  137: 'redirect',
  143: 'multicast listener report v2',
};

const ICMPV6_UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'no route',
  1: 'admin prohibited',
  3: 'address unreachable',
  4: 'port unreachable',
  5: 'policy failed',
  6: 'reject route',
};

const CHUNKS: Readonly<Record<number, string>> = {
  0: 'DATA',
  1: 'INIT',
  2: 'INIT ACK',
  3: 'SACK',
  4: 'HEARTBEAT',
  5: 'HEARTBEAT ACK',
  6: 'ABORT',
  7: 'SHUTDOWN',
  8: 'SHUTDOWN ACK',
  9: 'ERROR',
  10: 'COOKIE ECHO',
  11: 'COOKIE ACK',
  14: 'SHUTDOWN COMPLETE',
};

/** One line for a frame that begins with an Ethernet header. */
export function summary(frame: Uint8Array): string {
  return summarize(parseFrame(frame));
}

/** One line for a packet that begins with an IP header. */
export function summaryOfPacket(packet: Uint8Array): string {
  return summarize(parsePacket(packet));
}

/** One line for layers. */
export function summarize(layers: readonly Layer[]): string {
  let prefix = '';
  for (let i = 0; i < layers.length; i++) {
    const { kind, fields, problem } = layers[i];
    if (kind === 'vlan') prefix += `vlan ${fields.id}, `;
    if (kind === 'arp') return prefix + arpLine(layers[i]);
    if (kind === 'ip' || kind === 'ip6') return prefix + ipLine(layers, i);
    if (kind === 'malformed') return `${prefix}malformed: ${problem}`;
    if (kind === 'payload') {
      const ether = layers[0]?.kind === 'ether' ? `ethertype 0x${Number(layers[0].fields.type).toString(16)}, ` : '';
      return `${prefix}${ether}length ${layers[i].data?.length ?? 0}`;
    }
  }
  return `${prefix}empty`;
}

function arpLine({ fields }: Layer): string {
  if (fields.operation === 1) return `ARP, Request who-has ${fields['daddr ip']} tell ${fields['saddr ip']}`;
  if (fields.operation === 2) return `ARP, Reply ${fields['saddr ip']} is-at ${fields['saddr ether']}`;
  return `ARP, operation ${fields.operation}`;
}

function size(layers: readonly Layer[], from: number): number {
  return layers.slice(from).reduce((sum, l) => sum + (l.kind === 'payload' ? (l.data?.length ?? 0) : 0), 0);
}

function ipLine(layers: readonly Layer[], at: number): string {
  const { kind, fields } = layers[at];
  const name = kind === 'ip' ? 'IP' : 'IP6';
  const pair = (sport?: unknown, dport?: unknown): string =>
    sport === undefined
      ? `${name} ${fields.saddr} > ${fields.daddr}`
      : `${name} ${fields.saddr}.${sport} > ${fields.daddr}.${dport}`;
  let note = '';
  for (let i = at + 1; i < layers.length; i++) {
    const { kind: upper, fields: f, chunks, problem } = layers[i];
    const bytes = size(layers, i + 1);
    switch (upper) {
      case 'hbh':
      case 'dst':
      case 'rt':
      case 'ah':
        note += ` ${upper}`;
        break;
      case 'frag':
        note += ` frag (0x${Number(f.id).toString(16)}:${Number(f['frag-off']) * 8})`;
        break;
      case 'tcp': {
        const flags = Number(f.flags);
        const ack = flags & 0x10 ? `, ack ${f.ackseq}` : '';
        const end = bytes > 0 ? `:${(Number(f.sequence) + bytes) >>> 0}` : '';
        return `${pair(f.sport, f.dport)}:${note} Flags [${tcpFlags(flags)}], seq ${f.sequence}${end}${ack}, win ${f.window}, length ${bytes}`;
      }
      case 'udp':
        return `${pair(f.sport, f.dport)}:${note} UDP, length ${bytes}`;
      case 'sctp':
        return `${pair(f.sport, f.dport)}:${note} sctp ${(chunks ?? []).map((c) => `[${CHUNKS[c.type] ?? `chunk ${c.type}`}]`).join(' ')}`;
      case 'icmp':
        return `${pair()}:${note} ICMP ${icmpText(f, ICMP_TEXT, 3, ICMP_UNREACHABLE, [0, 8])}, length ${build(layers.slice(i).filter(inside)).length}`;
      case 'icmpv6':
        return `${pair()}:${note} ICMP6, ${icmpText(f, ICMPV6_TEXT, 1, ICMPV6_UNREACHABLE, [128, 129])}${target(layers[i + 1])}, length ${build(layers.slice(i).filter(inside)).length}`;
      case 'ip':
      case 'ip6':
        return `${pair()}:${note} ${ipLine(layers, i)}`;
      case 'malformed':
        return `${pair()}:${note} malformed: ${problem}`;
      default:
    }
  }
  const offset = Number(fields['frag-off'] ?? 0) & 0x1fff;
  if (offset > 0) note += ` frag (0x${Number(fields.id).toString(16)}:${offset * 8})`;
  return `${pair()}:${note} ip-proto-${fields.protocol ?? fields.nexthdr}, length ${size(layers, at + 1)}`;
}

function inside(layer: Layer): boolean {
  return layer.kind !== 'padding';
}

function target(layer: Layer | undefined): string {
  return layer?.fields.target === undefined ? '' : `, target ${layer.fields.target}`;
}

function icmpText(
  f: Layer['fields'],
  types: Readonly<Record<number, string>>,
  unreachable: number,
  codes: Readonly<Record<number, string>>,
  echo: readonly number[],
): string {
  const type = Number(f.type);
  const code = Number(f.code);
  if (echo.includes(type)) return `${types[type]}, id ${f.id}, seq ${f.sequence}`;
  if (type === unreachable) return `${types[type]} (${codes[code] ?? `code ${code}`})`;
  return `${types[type] ?? `type ${type}`}${code ? ` (code ${code})` : ''}`;
}

/** Hexadecimal bytes, 16 a line, as `tcpdump -x`. */
export function hexDump(bytes: Uint8Array, indent = ''): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)].map((b) => b.toString(16).padStart(2, '0'));
    lines.push(`${indent}${at.toString(16).padStart(4, '0')}  ${row.join(' ')}`);
  }
  return lines.join('\n');
}

/** All fields of a frame, one a line below the title of their layer. */
export function tree(frame: Uint8Array): string {
  return treeOf(parseFrame(frame));
}

/** All fields of layers. */
export function treeOf(layers: readonly Layer[]): string {
  const lines: string[] = [];
  for (const layer of layers) {
    const table = bodyTable(layer.kind);
    const bytes = layer.data?.length ?? 0;
    lines.push(table?.title ?? `${layer.kind} (${bytes} bytes)${layer.problem ? `: ${layer.problem}` : ''}`);
    for (const field of table?.fields ?? [])
      lines.push(`    ${field.name.padEnd(14)} ${formatField(field, layer.fields[field.name])}`);
    for (const option of layer.options ?? [])
      lines.push(`    option ${option.kind}${option.data.length ? `: ${hex(option.data)}` : ''}`);
    for (const chunk of layer.chunks ?? [])
      lines.push(`    chunk ${CHUNKS[chunk.type] ?? chunk.type}, flags ${chunk.flags}, ${chunk.value.length} bytes`);
    if (layer.data !== undefined && bytes > 0) lines.push(hexDump(layer.data, '    '));
  }
  return `${lines.join('\n')}\n`;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
}
