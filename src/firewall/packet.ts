/**
 * Packets of a conversation: the frame a phrase means, the frames of the handshake before it, and what the far side
 * answers to a frame that reached it.
 */
import { build } from '../wire/build.ts';
import { type Fields, type Layer, mss, payload, sackPermitted } from '../wire/layer.ts';
import { ACK, FIN, PSH, RST, SYN } from '../wire/tcp.ts';
import type { PhrasePacket } from './phrase.ts';

/** What a phrase may leave open, filled in. */
export type Filled = {
  readonly saddr: string;
  readonly daddr: string;
  readonly sport: number;
};

const SEQUENCE = 1000;

function network(p: PhrasePacket, { saddr, daddr }: Filled): Layer {
  const fields: Fields = { saddr, daddr, ...(p.dscp !== undefined && { dscp: p.dscp }) };
  if (saddr.includes(':')) return { kind: 'ip6', fields: { ...fields, hoplimit: p.ttl ?? hops(p) } };
  return { kind: 'ip', fields: { ...fields, ttl: p.ttl ?? 64, id: 1, 'frag-off': p.protocol === 'tcp' ? 0x4000 : 0 } };
}

/** Neighbour Discovery is only believed with a hop limit of 255. */
function hops(p: PhrasePacket): number {
  return p.icmpType !== undefined && p.icmpType >= 133 && p.icmpType <= 137 ? 255 : 64;
}

/** Layers above Ethernet of the packet that a phrase means. */
export function packetOf(p: PhrasePacket, filled: Filled): Layer[] {
  if (p.protocol === 'arp')
    return [
      {
        kind: 'arp',
        fields: {
          operation: 1,
          'saddr ether': p.mac ?? FAR_MAC,
          'saddr ip': filled.saddr,
          'daddr ip': filled.daddr,
        },
      },
    ];
  return sized([network(p, filled), ...upper(p, filled)], p.length);
}

function upper(p: PhrasePacket, { sport, daddr }: Filled): Layer[] {
  const ports = { sport, dport: p.to.port ?? 0 };
  const data = p.payload === undefined ? [] : [payload(p.payload)];
  switch (p.protocol) {
    case 'tcp': {
      const flags = p.flags ?? (p.established ? PSH | ACK : SYN);
      const open = (flags & (SYN | ACK | RST | FIN)) === SYN;
      const fields = {
        ...ports,
        flags,
        sequence: open ? SEQUENCE : SEQUENCE + 1,
        ackseq: flags & ACK ? FAR_SEQUENCE + 1 : 0,
      };
      const fill = p.established && p.flags === undefined && data.length === 0 ? [payload('x')] : data;
      return [{ kind: 'tcp', fields, options: open ? [mss(1460), sackPermitted] : [] }, ...fill];
    }
    case 'udp':
      return [{ kind: 'udp', fields: ports }, ...data];
    case 'sctp':
      return [
        {
          kind: 'sctp',
          fields: { ...ports, vtag: p.established ? 2 : 0 },
          chunks: [p.established ? sctpData(p.payload) : sctpInit(1)],
        },
      ];
    case 'icmp': {
      const type = p.icmpType ?? 8;
      return [{ kind: 'icmp', fields: { type, code: p.icmpCode ?? 0, id: 1, sequence: 1 } }, ...data];
    }
    default: {
      const type = p.icmpType ?? 128;
      const fields = { type, code: p.icmpCode ?? 0, ...(type >= 128 && type <= 129 && { id: 1, sequence: 1 }) };
      const body: Layer[] =
        type === 135 || type === 136 ? [{ kind: 'neighbour', fields: { target: daddr }, options: [] }] : data;
      return [{ kind: 'icmpv6', fields }, ...body];
    }
  }
}

const FAR_SEQUENCE = 5000;
/** MAC address of whoever is at the other end of an interface. */
export const FAR_MAC = '02:00:5e:00:53:01';

function sctpInit(tag: number): { type: number; flags: number; value: Uint8Array } {
  const value = new Uint8Array(16);
  const dv = new DataView(value.buffer);
  dv.setUint32(0, tag);
  dv.setUint32(4, 106_496);
  dv.setUint16(8, 10);
  dv.setUint16(10, 10);
  dv.setUint32(12, 1);
  return { type: 1, flags: 0, value };
}

function sctpData(bytes: Uint8Array = Uint8Array.of(120)): { type: number; flags: number; value: Uint8Array } {
  const value = new Uint8Array(12 + bytes.length);
  new DataView(value.buffer).setUint32(0, 1);
  value.set(bytes, 12);
  return { type: 0, flags: 3, value };
}

/** Pads the payload so that the IP packet has `length` bytes; shorter packets than the headers stay as they are. */
function sized(layers: readonly Layer[], length: number | undefined): Layer[] {
  const missing = (length ?? 0) - build(layers).length;
  if (missing <= 0) return [...layers];
  const last = layers[layers.length - 1];
  const before = last.kind === 'payload' ? (last.data as Uint8Array) : new Uint8Array(0);
  const data = new Uint8Array(before.length + missing);
  data.set(before);
  return [...(last.kind === 'payload' ? layers.slice(0, -1) : layers), payload(data)];
}

/** The steps before a packet "in state established": first what this side sends, alternating with the far side's answers. */
export function opening(p: PhrasePacket, filled: Filled): Layer[] | undefined {
  if (!p.established) return undefined;
  return packetOf({ ...p, established: false, flags: undefined, length: undefined, icmpType: undefined }, filled);
}

/** The third packet of TCP's and SCTP's handshakes, from the opening side. */
export function confirmation(p: PhrasePacket, filled: Filled): Layer[] | undefined {
  if (p.protocol === 'tcp')
    return packetOf({ ...p, flags: ACK, established: false, length: undefined, payload: undefined }, filled);
  if (p.protocol !== 'sctp') return undefined;
  const [net, sctp] = packetOf({ ...p, established: false, length: undefined }, filled);
  return [
    net,
    { ...sctp, fields: { ...sctp.fields, vtag: 2 }, chunks: [{ type: 10, flags: 0, value: new Uint8Array(4) }] },
  ];
}

/**
 * What a willing far side answers to a packet (layers above Ethernet): SYN with SYN and ACK, data with ACK, a request
 * with its reply. Undefined when nothing answers such a packet, with the reason.
 */
export function answer(layers: readonly Layer[]): { readonly layers: Layer[] } | { readonly none: string } {
  const at = layers.findIndex((l) => l.kind !== 'ip' && l.kind !== 'ip6');
  const upperLayer = layers[at];
  if (upperLayer?.kind === 'arp') return arpAnswer(upperLayer);
  const net = layers[0];
  if (upperLayer === undefined || net === undefined || at !== 1) return { none: 'nothing answers such a packet' };
  const fields: Fields =
    net.kind === 'ip'
      ? { saddr: net.fields.daddr, daddr: net.fields.saddr, ttl: 64, id: 1, 'frag-off': 0x4000 }
      : { saddr: net.fields.daddr, daddr: net.fields.saddr, hoplimit: 64 };
  const data = layers.find((l) => l.kind === 'payload')?.data?.length ?? 0;
  const body = upperAnswer(upperLayer, layers.slice(at + 1), data);
  return typeof body === 'string' ? { none: body } : { layers: [{ kind: net.kind, fields }, ...body] };
}

function upperAnswer({ kind, fields, chunks }: Layer, rest: readonly Layer[], data: number): Layer[] | string {
  const ports: Fields = { sport: fields.dport, dport: fields.sport };
  switch (kind) {
    case 'tcp': {
      const flags = Number(fields.flags);
      if (flags & RST) return 'a reset has no answer';
      const consumed = data + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
      const ackseq = (Number(fields.sequence) + consumed) >>> 0;
      if (flags & SYN && flags & ACK)
        return [{ kind, fields: { ...ports, flags: ACK, sequence: fields.ackseq, ackseq } }];
      if (flags & SYN)
        return [
          {
            kind,
            fields: { ...ports, flags: SYN | ACK, sequence: FAR_SEQUENCE, ackseq },
            options: [mss(1460), sackPermitted],
          },
        ];
      if (!(flags & ACK)) return [{ kind, fields: { ...ports, flags: RST | ACK, sequence: 0, ackseq } }];
      return [{ kind, fields: { ...ports, flags: flags & FIN ? FIN | ACK : ACK, sequence: fields.ackseq, ackseq } }];
    }
    case 'udp':
      return [{ kind, fields: ports }, ...rest];
    case 'icmp':
      if (fields.type !== 8) return 'only an echo request is answered';
      return [{ kind, fields: { type: 0, code: 0, id: fields.id, sequence: fields.sequence } }, ...rest];
    case 'icmpv6':
      if (fields.type !== 128) return 'only an echo request is answered';
      return [{ kind, fields: { type: 129, code: 0, id: fields.id, sequence: fields.sequence } }, ...rest];
    case 'sctp': {
      const type = chunks?.[0]?.type;
      const init = chunks?.[0]?.value;
      if (type === 1 && init !== undefined) {
        const vtag = new DataView(init.buffer, init.byteOffset).getUint32(0);
        return [{ kind, fields: { ...ports, vtag }, chunks: [{ ...sctpInit(2), type: 2 }] }];
      }
      if (type === 10)
        return [{ kind, fields: { ...ports, vtag: 1 }, chunks: [{ type: 11, flags: 0, value: new Uint8Array(0) }] }];
      return [{ kind, fields: { ...ports, vtag: 1 }, chunks: [{ type: 3, flags: 0, value: new Uint8Array(12) }] }];
    }
    default:
      return 'nothing answers such a packet';
  }
}

function arpAnswer({ fields }: Layer): { readonly layers: Layer[] } | { readonly none: string } {
  if (fields.operation !== 1) return { none: 'only an ARP request is answered' };
  return {
    layers: [
      {
        kind: 'arp',
        fields: {
          operation: 2,
          'saddr ether': FAR_MAC,
          'saddr ip': fields['daddr ip'],
          'daddr ether': fields['saddr ether'],
          'daddr ip': fields['saddr ip'],
        },
      },
    ],
  };
}
