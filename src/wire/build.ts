/**
 * From layers to bytes: headers are stacked from the inside out; lengths, checksums and next-protocol fields that the
 * layers leave out are computed, those that they give are written as given (so wrong ones can be made on purpose).
 */
import { checksum, crc32c, pseudo4, pseudo6 } from './checksum.ts';
import { ETH_P_8021AD, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from './ethernet.ts';
import { type FieldValue, writeTable } from './field.ts';
import type { Layer, LayerKind } from './layer.ts';
import { emitChunks, emitOptions } from './option.ts';
import { BY_PROTOCOL } from './parse.ts';
import { bodyTable } from './tables.ts';

const PROTOCOL: ReadonlyMap<LayerKind, number> = new Map([...BY_PROTOCOL].map(([number, kind]) => [kind, number]));
const IPPROTO_NONE = 59;

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The bytes of a stack of layers. Throws a RangeError naming layer and field when a value does not fit. */
export function build(layers: readonly Layer[]): Uint8Array {
  let body = new Uint8Array(0) as Uint8Array;
  let tail = new Uint8Array(0) as Uint8Array;
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i];
    if (layer.kind === 'padding') tail = concat([layer.data ?? new Uint8Array(0), tail]);
    else body = concat([emitLayer(layers, i, body), body]);
  }
  return concat([body, tail]);
}

/** The bytes of one layer in front of `body`. */
function emitLayer(layers: readonly Layer[], i: number, body: Uint8Array): Uint8Array {
  const layer = layers[i];
  const table = bodyTable(layer.kind);
  if (table === undefined) return layer.data ?? new Uint8Array(0);
  const rest = emitRest(layer);
  const header = new Uint8Array(table.length + rest.length);
  header.set(rest, table.length);
  const values: Record<string, FieldValue> = { ...computed(layers, i, header.length, body.length), ...defined(layer) };
  try {
    writeTable(new DataView(header.buffer), 0, table, values);
  } catch (error) {
    throw new RangeError(`${layer.kind} ${(error as Error).message}`);
  }
  if (layer.fields.checksum === undefined) fillChecksum(layers, i, header, body);
  return header;
}

function defined(layer: Layer): Record<string, FieldValue> {
  return Object.fromEntries(Object.entries(layer.fields).filter(([, value]) => value !== undefined));
}

/** What lies between the fixed header and the next layer. */
function emitRest(layer: Layer): Uint8Array {
  if (layer.kind === 'sctp') return emitChunks(layer.chunks ?? []);
  if (layer.kind === 'ip' || layer.kind === 'tcp') return emitOptions(layer.options ?? [], 'ip');
  if (layer.kind === 'hbh' || layer.kind === 'dst') {
    const options = emitOptions(layer.options ?? [], 'ip6');
    const out = new Uint8Array(((options.length + 2 + 7) & ~7) - 2); // filled up with Pad1
    out.set(options);
    return out;
  }
  if (layer.kind === 'rt' || layer.kind === 'ah') return layer.data ?? new Uint8Array(4);
  return emitOptions(layer.options ?? [], 'nd');
}

/** Lengths and next-protocol fields. */
function computed(layers: readonly Layer[], i: number, header: number, body: number): Record<string, FieldValue> {
  const { kind } = layers[i];
  const upper = layers[i + 1];
  const protocol = upper === undefined ? IPPROTO_NONE : (PROTOCOL.get(upper.kind) ?? IPPROTO_NONE);
  switch (kind) {
    case 'ether':
    case 'vlan':
      return { type: ethertype(upper, layers[i + 2]) };
    case 'ip':
      return { hdrlength: header / 4, length: header + body, protocol: upper === undefined ? 0 : protocol };
    case 'ip6':
      return { length: body, nexthdr: protocol };
    case 'hbh':
    case 'dst':
    case 'rt':
      return { hdrlength: header / 8 - 1, nexthdr: protocol };
    case 'ah':
      return { hdrlength: header / 4 - 2, nexthdr: protocol };
    case 'frag':
      return { nexthdr: protocol };
    case 'udp':
      return { length: header + body };
    case 'tcp':
      return { doff: header / 4 };
    default:
      return {};
  }
}

/** A tag in front of another tag is a service tag (802.1ad). */
function ethertype(upper: Layer | undefined, above: Layer | undefined): number {
  switch (upper?.kind) {
    case 'ip':
      return ETH_P_IP;
    case 'ip6':
      return ETH_P_IPV6;
    case 'arp':
      return ETH_P_ARP;
    case 'vlan':
      return above?.kind === 'vlan' ? ETH_P_8021AD : ETH_P_8021Q;
    default:
      return 0x88b5; // IEEE 802 local experimental
  }
}

/** Offset of the checksum in the header, for protocols summed over header, body and (but ICMP) a pseudo header. */
const CHECKSUM_AT: ReadonlyMap<LayerKind, number> = new Map([
  ['icmp', 2],
  ['icmpv6', 2],
  ['udp', 6],
  ['tcp', 16],
]);

function fillChecksum(layers: readonly Layer[], i: number, header: Uint8Array, body: Uint8Array): void {
  const { kind } = layers[i];
  const dv = new DataView(header.buffer);
  if (kind === 'ip') dv.setUint16(10, checksum(dv, 0, header.length));
  if (kind === 'sctp') dv.setUint32(8, crc32c(body, 0, body.length, crc32c(header, 0, header.length)), true);
  const at = CHECKSUM_AT.get(kind);
  if (at === undefined) return;
  const whole = concat([header, body]);
  const view = new DataView(whole.buffer);
  const sum = checksum(view, 0, whole.length, kind === 'icmp' ? 0 : pseudo(layers, i, whole.length));
  dv.setUint16(at, sum === 0 && kind === 'udp' ? 0xffff : sum); // 0 would mean "no checksum" (RFC 768)
}

/** Partial sum of the pseudo header of the nearest IP layer below. */
function pseudo(layers: readonly Layer[], i: number, length: number): number {
  const protocol = PROTOCOL.get(layers[i].kind) as number;
  for (let j = i - 1; j >= 0; j--) {
    const { kind, fields } = layers[j];
    if (kind !== 'ip' && kind !== 'ip6') continue;
    const table = bodyTable(kind) as NonNullable<ReturnType<typeof bodyTable>>;
    const bytes = new DataView(new ArrayBuffer(table.length));
    writeTable(bytes, 0, table, { saddr: fields.saddr, daddr: fields.daddr });
    return kind === 'ip' ? pseudo4(bytes, 0, protocol, length) : pseudo6(bytes, 0, protocol, length);
  }
  return 0;
}
